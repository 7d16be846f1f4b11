"""Commands for clusters: drive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hvdtma.errors import UserError

GRACE_S = 30.0  # trainers end one that hangs themselves; the driver only if that fails


def drive(
    config: Annotated[Path, typer.Argument(help="A YAML config.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, e.g. model.hidden=128")
    ] = None,
    local: Annotated[
        int | None,
        typer.Option(help="So many trainers here, instead of this Slurm job's tasks.", min=1),
    ] = None,
    max_restarts: Annotated[
        int, typer.Option(help="How often a lost trainer is started again; 0: never.", min=0)
    ] = 100,
    restart_delay_s: Annotated[float, typer.Option(help="Seconds before that.", min=0)] = 5.0,
    resume: Annotated[
        bool, typer.Option("--or-resume", help="Go on with the config's run if it was begun.")
    ] = False,
) -> None:
    """Start elastic trainers, inside sbatch or salloc, and start lost ones again."""
    from hvdtma.config import load_config
    from slurm.drive import Driver
    from slurm.workers import LocalWorkers, SrunWorkers, Workers, trainer_command

    loaded = load_config(config, overrides)
    if not loaded.elastic:
        raise UserError("hvdtma drive is for elastic trainers; add elastic=true, or use srun")
    if local is None and "SLURM_JOB_NODELIST" not in os.environ:
        raise UserError(
            "this is no Slurm job: use sbatch, salloc or hvdtma submit; or --local M to start M "
            "trainers here"
        )
    workers: Workers = LocalWorkers(local) if local else SrunWorkers()
    options = ["--or-resume"] if resume else []
    status = Driver(
        workers,
        trainer_command([str(config), *(overrides or []), *options]),
        min_trainers=loaded.min_trainers,
        rejoin_timeout_s=loaded.rejoin_timeout_s,
        hang_limit_s=loaded.hang_limit_s + (loaded.interval_s or loaded.hang_limit_s) + GRACE_S,
        max_restarts=max_restarts,
        restart_delay_s=restart_delay_s,
    ).run()
    raise typer.Exit(status)
