"""A request for a run: a new run, or a run to continue."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from hvdtma.core.config import (
    EXAMPLES,
    Component,
    Given,
    Overrides,
    config_and_words,
    load_as,
    override_values,
)
from hvdtma.core.errors import TrainerError, UserError
from hvdtma.core.launcher import launched_as
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.folder import BaseRunFolder, StartMode

C = TypeVar("C", bound=Component)


class RunRequest(NamedTuple, Generic[C]):
    """The config of a run, and how its folder is treated."""

    config: C
    mode: StartMode


def train_request(
    config: Given,
    overrides: Overrides | None,
    *,
    resume: Path | None = None,
    or_resume: bool = False,
    overwrite: bool = False,
) -> RunRequest[TrainConfig]:
    """Make the request for a training run; see `run_request`."""
    return run_request(
        TrainConfig,
        BaseRunFolder,
        config,
        overrides,
        resume=resume,
        or_resume=or_resume,
        overwrite=overwrite,
    )


def run_request(
    kind: type[C],
    folder: type[BaseRunFolder],
    config: Given,
    overrides: Overrides | None,
    *,
    resume: Path | None,
    or_resume: bool,
    overwrite: bool,
) -> RunRequest[C]:
    """Make the request for a run of any kind from a caller's arguments.

    Args:
        config: a file, values, or None: then the run's own config with `resume`, else the
            defaults. Where overrides are words, the first one may stand in its place.
        overrides: changes of the config.
        resume: a run to continue.
        or_resume: continue the config's run if it was begun before.
        overwrite: replace the config's run.

    Raises UserError if there is neither a config nor a run, for contradictory arguments, and for a
    config that is not valid.
    """
    if overwrite and (or_resume or resume is not None):
        raise UserError("--overwrite replaces a run, --resume continues it; leave one of them out")
    if not isinstance(overrides, Mapping) and (config is None or isinstance(config, str | Path)):
        config, overrides = config_and_words(config, overrides)
    changes = override_values(kind, overrides)
    if resume is not None:
        if config is None:
            there = folder(resume)
            there.check_there()
            config = there.config_file
        changes["run"] = str(resume)
        return RunRequest(load_as(kind, config, changes), StartMode.RESUME)
    if config is None and not changes:
        raise UserError(
            "give a config, or --resume RUN, or key=value for every key without a default; "
            f"examples of configs are in {EXAMPLES}"
        )
    loaded = load_as(kind, config, changes)
    if or_resume:
        return RunRequest(loaded, StartMode.AUTO)
    return RunRequest(loaded, StartMode.OVERWRITE if overwrite else StartMode.NEW)


def check_here(resume: Path | None, config: Given) -> None:
    """Raise TrainerError if a file that this trainer reads is not on its machine.

    The first trainer reports a missing file itself, with more detail.
    """
    rank, _ = launched_as()
    file = config_and_words(config, [])[0] if isinstance(config, str | Path) else None
    for needed in (resume, file):
        if rank and needed and not needed.exists():
            raise TrainerError(f"trainer {rank}: {needed} is not on {os.uname().nodename}")
