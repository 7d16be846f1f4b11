"""What a command line asks for: a new run, or one to go on with."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hvdtma.config import TrainConfig, load_config
from hvdtma.errors import UserError
from hvdtma.train.begin import Beginning
from hvdtma.train.run_folder import RunFolder


class Wanted(NamedTuple):
    """A run to train, and what to do with its folder."""

    config: TrainConfig
    beginning: Beginning


def what_to_train(
    config: Path | None,
    overrides: list[str] | None,
    *,
    resume: Path | None = None,
    or_resume: bool = False,
    overwrite: bool = False,
) -> Wanted:
    """The run that is asked for.

    With `resume`, the config is the run's own unless another is given, and overrides go on top.
    Raises UserError if nothing is asked for, two things are, or the config is not right.
    """
    if overwrite and (or_resume or resume is not None):
        raise UserError("--overwrite begins a run anew, --resume goes on; leave one of them out")
    if resume is not None:
        if config is not None and "=" in config.name:  # an override where a config may stand
            config, overrides = None, [str(config), *(overrides or [])]
        path = config or RunFolder.open(resume).path / "config.yaml"
        return Wanted(load_config(path, [*(overrides or []), f"run={resume}"]), Beginning.RESUME)
    if config is None:
        raise UserError("give a config, or --resume RUN; examples are in configs/")
    loaded = load_config(config, overrides)
    if or_resume:
        return Wanted(loaded, Beginning.EITHER)
    return Wanted(loaded, Beginning.ANEW if overwrite else Beginning.NEW)
