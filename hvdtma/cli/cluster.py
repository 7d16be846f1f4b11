"""Commands for clusters: submit, drive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hvdtma.core.errors import UserError
from hvdtma.core.signals import ShutdownSignal

GRACE_S = 30.0  # trainers end one that hangs themselves; the driver only if that fails


def submit(
    config: Annotated[Path, typer.Argument(help="A YAML config.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, e.g. model.hidden=128")
    ] = None,
    nodes: Annotated[int, typer.Option(help="Nodes of the job.", min=1)] = 1,
    tasks_per_node: Annotated[
        int, typer.Option(help="Tasks on each node; a task is a trainer.", min=1)
    ] = 1,
    gpus_per_node: Annotated[int, typer.Option(help="GPUs on each node.", min=0)] = 0,
    time: Annotated[
        str,
        typer.Option(help="Limit: 4h, 90m, 30 (minutes), 1-12:00:00. The job goes on after it."),
    ] = "1h",
    partition: Annotated[
        str | None, typer.Option(help="Where to wait; default: the cluster's.", show_default=False)
    ] = None,
    array: Annotated[
        list[str] | None,
        typer.Option(help="key=a,b,c: a sweep, as a job array. May be repeated.", metavar="SWEEP"),
    ] = None,
    cluster: Annotated[
        str, typer.Option(help="slurm | local (this machine)", metavar="CLUSTER")
    ] = "slurm",
    cluster_config: Annotated[
        Path | None,
        typer.Option(
            help="Cluster defaults; else $HVDTMA_CLUSTER or ~/.config/hvdtma/cluster.yaml.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the job; default: the run's.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="For logs and pickles; default: RUN.jobs.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the batch script, submit nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow state and validation score to the end.")
    ] = False,
) -> None:
    """Send a run, or a sweep of runs, to Slurm; it saves before its time limit and goes on."""
    from slurm import submit as submit_job

    submitted = submit_job(
        config,
        overrides or [],
        nodes=nodes,
        tasks_per_node=tasks_per_node,
        gpus_per_node=gpus_per_node,
        time=time,
        partition=partition,
        array=array or [],
        cluster=cluster,
        cluster_config=cluster_config,
        name=name,
        folder=folder,
        dry_run=dry_run,
    )
    typer.echo(submitted.script if dry_run else submitted.described())
    if watch and not dry_run:
        raise typer.Exit(submitted.watch())


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
    tasks_per_node: Annotated[
        str | None,
        typer.Option(
            help="Trainers of each node, as Slurm writes it: 2(x3),1. Default: the job's tasks.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--or-resume", help="Go on with the config's run if it was begun.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run.")] = False,
) -> None:
    """Start elastic trainers, inside sbatch or salloc, and start lost ones again."""
    with ShutdownSignal() as shutdown:  # before all that takes time
        from hvdtma.runs.request import train_request
        from hvdtma.training.start import prepare_run_folder
        from slurm.checks import check_fit
        from slurm.driver import Driver
        from slurm.workers import LocalWorkers, SrunWorkers, Workers, trainer_command

        loaded, mode = train_request(config, overrides, or_resume=resume, overwrite=overwrite)
        if not loaded.elastic:
            raise UserError("hvdtma drive is for elastic trainers; add elastic=true, or use srun")
        if local is None and "SLURM_JOB_NODELIST" not in os.environ:
            raise UserError(
                "this is no Slurm job: use sbatch, salloc or hvdtma submit; or --local M to start "
                "M trainers here"
            )
        workers: Workers = LocalWorkers(local) if local else SrunWorkers(tasks_per_node)
        check_fit(loaded, len(workers.slots()))
        prepare_run_folder(loaded, mode)
        status = Driver(
            workers,
            trainer_command(
                [str(config), *(overrides or []), "--or-resume"]
            ),  # lost ones come again
            min_trainers=loaded.min_trainers,
            rejoin_timeout_s=loaded.rejoin_timeout_s,
            hang_limit_s=loaded.hang_limit_s + (loaded.interval_s or loaded.hang_limit_s) + GRACE_S,
            max_restarts=max_restarts,
            restart_delay_s=restart_delay_s,
        ).run(shutdown)
    raise typer.Exit(status)
