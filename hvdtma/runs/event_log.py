"""The log of a run: events in metrics.jsonl, a view of them, and the numbers for loggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from hvdtma.core.console import warn
from hvdtma.core.errors import Interrupted, UserError, explain
from hvdtma.core.files import append_json, is_full
from hvdtma.runs.event_text import is_number
from hvdtma.runs.folder import BaseRunFolder
from hvdtma.runs.loggers import LoggedRun, Logger
from hvdtma.runs.loggers.tensorboard import TensorBoard


class EventLog:
    """Writes the events of a run, and passes its numbers to loggers; a context manager.

    Args:
        run: the folder to write to.
        show: shows an event to a person; called after the event is written.
        loggers: None: TensorBoard.
        logged: the facts for the loggers; None: the folder alone.
    """

    def __init__(
        self,
        run: BaseRunFolder,
        show: Callable[[dict], object],
        *,
        loggers: Sequence[Logger] | None = None,
        logged: LoggedRun | None = None,
    ):
        self.run, self.show = run, show
        self.loggers = list([TensorBoard()] if loggers is None else loggers)
        logged = logged or LoggedRun(run.path)
        self._call(lambda logger: logger.start(logged), required=logged.first_step is None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # a full disk: the error was reported, or only curves are lost
            self._call(lambda logger: logger.finish())

    def write(self, event: dict) -> None:
        """Append an event to metrics.jsonl and show it.

        Raises UserError if it cannot be written.
        """
        try:
            append_json(self.run.metrics, event)
        except OSError as error:
            raise UserError(
                f"events cannot be written to {self.run.metrics}: {error.strerror or error}"
            ) from error
        self.show(event)

    def values(self, values: Mapping[str, float | None], step: int) -> None:
        """Pass the finite ones of the named values to the loggers."""
        known = {name: float(value) for name, value in values.items() if is_number(value)}
        if known:
            self._call(lambda logger: logger.log(known, step))

    def _call(self, call: Callable[[Logger], object], *, required: bool = False) -> None:
        """Call each logger. A logger that fails is named and left out from then on.

        Args:
            required: raise UserError if one fails: nothing was trained yet.
        """
        for logger in list(self.loggers):
            try:
                call(logger)
            except Exception as error:  # a plug-in may raise anything
                if is_full(error):
                    raise
                why = f"the logger {type(logger).__name__} failed: {type(error).__name__}: {error}"
                if required:
                    raise UserError(f"{why}; repair it, or take it out of `log`") from error
                self.loggers.remove(logger)
                with suppress(Exception):  # it may hold files or connections
                    logger.finish()
                warn(f"{why}; the run goes on without it")


def end_event(error: BaseException) -> dict:
    """The last event of a run that an error ended; `interrupted` if the run can be resumed."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return {"kind": "interrupted", "why": str(error) or "interrupted"}
    why = explain(error) if isinstance(error, UserError | OSError) else str(error)
    return {"kind": "failed", "why": why or type(error).__name__}
