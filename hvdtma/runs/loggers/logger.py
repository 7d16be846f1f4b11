"""The contract of loggers: they get the numbers of a run, round by round.

The config names them: `log: [tensorboard, "my_pkg:MyLogger"]`; `log_options` has their options, by
name. A complete example is in docs/extending.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from hvdtma.core.contract import Call, check_methods
from hvdtma.core.errors import UserError

Setting = bool | int | float | str


@dataclass(frozen=True)
class LoggedRun:
    """The run that a logger logs.

    Attributes:
        folder: the folder of the run.
        settings: every key of the config with its value; the value of a list or of null is text.
        metrics: names of the values that the best round is chosen by, such as `valid/mrr`.
        first_step: the first step that will be logged again, if the run was resumed; None for a
            new run.
    """

    folder: Path
    settings: Mapping[str, Setting] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    first_step: int | None = None

    @property
    def id(self) -> str:
        """An id of the run, which is kept in its folder: the same one after a resumption."""
        file = self.folder / "log-id"
        if not file.exists():
            file.write_text(uuid.uuid4().hex[:16])
        return file.read_text()


class Logger(Protocol):
    """Takes the numbers of a run; used on the first trainer only.

    The class is called with the user's options before training begins, and raises UserError if it
    cannot be used, for example because a library is missing. A later error other than a full disk
    ends the logger, not the run.
    """

    def start(self, run: LoggedRun) -> None:
        """Called once, before the first value."""
        ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Called with finite numbers by name.

        Args:
            values: such as `loss/mean`, `lr`, `loss/trainer_0`, `valid/mrr`, `test/mrr`.
            step: the round that they belong to. Scores come later than the losses of the next
                rounds, so steps may fall.
        """
        ...

    def finish(self) -> None:
        """Called once, at the end, also of a run that failed."""
        ...


CALLS = {"start": Call(("run",)), "log": Call(("values", "step")), "finish": Call()}


def check_logger(name: str, target: Any) -> None:
    """Raise UserError unless a class keeps the contract of loggers."""
    check_methods("logger", name, target, CALLS)


def library(name: str, logger: str) -> Any:
    """Import the library of a logger; raises UserError if it cannot be imported."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"the logger '{logger}' needs the library {name}, which cannot be imported ({error}); "
            f"install it with `pip install {name}`, or take '{logger}' out of `log`"
        ) from error
