"""The log of a run: events in metrics.jsonl, a view of them, and TensorBoard curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from hvdtma.core.errors import Interrupted, UserError, explain
from hvdtma.core.files import append_json
from hvdtma.runs.folder import BaseRunFolder


class EventLog:
    """Writes the events and curves of a run; a context manager.

    Args:
        run: the folder to write to.
        show: shows an event to a person; called after the event is written.
        first_step: TensorBoard drops curves from this step on: those that were drawn after the
            checkpoint that a run is resumed from. None: no curves are dropped.
    """

    def __init__(
        self, run: BaseRunFolder, show: Callable[[dict], object], *, first_step: int | None = None
    ):
        self.run, self.show = run, show
        self._board = SummaryWriter(str(run.path / "tensorboard"), purge_step=first_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # a full disk: the error was reported, or only curves are lost
            self._board.close()

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

    def curves(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each of the named TensorBoard curves."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)


def end_event(error: BaseException) -> dict:
    """The last event of a run that an error ended; `interrupted` if the run can be resumed."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return {"kind": "interrupted", "why": str(error) or "interrupted"}
    why = explain(error) if isinstance(error, UserError | OSError) else str(error)
    return {"kind": "failed", "why": why or type(error).__name__}
