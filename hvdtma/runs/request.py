"""The run that a command line asks for: a new one, or one to resume."""

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
    """A run's config, and what to do with its folder."""

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
    """A training run; see `run_request`."""
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
    """A run of any kind.

    Args:
        kind, folder: classes of the config and of the folder.
        config: a YAML file. With `resume`, None is the run's own config.
        overrides: `key=value`, applied to the config.
        resume: the folder of a run to resume.
        or_resume: resume the config's run if it exists.
        overwrite: replace the config's run if it exists.

    Raises UserError if neither a config nor a run is given, if options contradict each other, and
    for a config that is not valid.
    """
    if overwrite and (or_resume or resume is not None):
        raise UserError("--overwrite replaces a run, --resume continues it; leave one of them out")
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
    """Raises TrainerError if the files that this trainer reads are not on its machine.

    Not on rank 0: there, reading them raises a better error.
    """
    rank, _ = launched_as()
    for needed in (resume, config if config and not _is_override(config) else None):
        if rank and needed and not needed.exists():
            raise TrainerError(f"trainer {rank}: {needed} is not on {os.uname().nodename}")


def _is_override(config: Path) -> bool:
    """Whether an argument is KEY=VALUE and no config file; the value may be a path."""
    return "=" in str(config) and not config.is_file()
