"""What a command line asks for: a new run, or one to go on with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hvdtma.config import TrainConfig, load_config
from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.launcher import launched_as
from hvdtma.train.checkpoint import folders
from hvdtma.train.run_folder import RunFolder


@dataclass(frozen=True)
class Wanted:
    """A run to train: new, or to `resume`; `begin_anew` replaces one that came to nothing."""

    config: TrainConfig
    resume: bool = False
    begin_anew: bool = False


def what_to_train(
    config: Path | None, overrides: list[str] | None, *, resume: Path | None, or_resume: bool
) -> Wanted | None:
    """The run that is asked for; None if it is over already, which is said.

    With `resume`, the config is the run's own unless another is given, and overrides go on top.
    Raises UserError if nothing is asked for, or the config is not right.
    """
    if resume is not None:
        if config is not None and "=" in config.name:  # an override where a config may stand
            config, overrides = None, [str(config), *(overrides or [])]
        path = config or RunFolder.open(resume).path / "config.yaml"
        return Wanted(load_config(path, [*(overrides or []), f"run={resume}"]), resume=True)
    if config is None:
        raise UserError("give a config, or --resume RUN; examples are in configs/")
    loaded = load_config(config, overrides)
    run = RunFolder(loaded.run)
    if not or_resume or not run.versions.exists():
        return Wanted(loaded)
    if run.summary.exists():
        if launched_as()[0] == 0:
            console.print(f"{run.path} is over; its report: {run.path / 'report.html'}")
        return None
    return Wanted(loaded, resume=True) if folders(run) else Wanted(loaded, begin_anew=True)
