"""What a command line asks for: a new run, or one to go on with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from hvdtma.core.config import Component, load_as
from hvdtma.core.errors import TrainerError, UserError
from hvdtma.core.launcher import launched_as
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.folder import Folder, StartMode
from hvdtma.runs.run_folder import RunFolder

C = TypeVar("C", bound=Component)


class RunRequest(NamedTuple, Generic[C]):
    """A run to train, and what to do with its folder."""

    config: C
    mode: StartMode


def train_request(
    config: Path | None,
    overrides: list[str] | None,
    *,
    resume: Path | None = None,
    or_resume: bool = False,
    overwrite: bool = False,
) -> RunRequest[TrainConfig]:
    """The run that is asked for; see `run_request`."""
    return run_request(
        TrainConfig,
        RunFolder,
        config,
        overrides,
        resume=resume,
        or_resume=or_resume,
        overwrite=overwrite,
    )


def run_request(
    kind: type[C],
    folder: type[Folder],
    config: Path | None,
    overrides: list[str] | None,
    *,
    resume: Path | None,
    or_resume: bool,
    overwrite: bool,
) -> RunRequest[C]:
    """The run that is asked for, of any kind.

    With `resume`, the config is the run's own unless another is given, and overrides go on top.
    Raises UserError if nothing is asked for, two things are, or the config is not right.
    """
    if overwrite and (or_resume or resume is not None):
        raise UserError("--overwrite begins a run anew, --resume goes on; leave one of them out")
    if resume is not None:
        if config is not None and _is_override(config):
            config, overrides = None, [str(config), *(overrides or [])]
        if config is None:
            there = folder(resume)
            there.check_there()
            config = there.config_file
        asked = load_as(kind, config, [*(overrides or []), f"run={resume}"])
        return RunRequest(asked, StartMode.RESUME)
    if config is None:
        raise UserError("give a config, or --resume RUN; examples are in configs/")
    loaded = load_as(kind, config, overrides)
    if or_resume:
        return RunRequest(loaded, StartMode.AUTO)
    return RunRequest(loaded, StartMode.OVERWRITE if overwrite else StartMode.NEW)


def check_here(resume: Path | None, config: Path | None) -> None:
    """Raises TrainerError if what this trainer is to read is not on its machine.

    On the first one, what misses it says more.
    """
    rank, _ = launched_as()
    for needed in (resume, config if config and not _is_override(config) else None):
        if rank and needed and not needed.exists():
            raise TrainerError(f"trainer {rank}: {needed} is not on {os.uname().nodename}")


def _is_override(config: Path) -> bool:
    """Whether KEY=VALUE stands where a config may stand; the value may be a path."""
    return "=" in str(config) and not config.is_file()
