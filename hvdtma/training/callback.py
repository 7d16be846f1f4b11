"""Callbacks on assignments, steps, pauses and rounds."""

from __future__ import annotations

from collections.abc import Sequence

from hvdtma.aggregate import Aggregation, TimedAveraging


class Callback:
    """Base class of callbacks. Its methods do nothing; a subclass overrides some of them.

    `hvdtma.train` passes its callbacks to the first trainer only.
    Time in a callback counts as training time, except in `on_assignment` and `on_round`.
    """

    def on_assignment(self, averaging: TimedAveraging, number: int, trainers: list[dict]) -> None:
        """Called after blocks were assigned to all trainers.

        Args:
            number: number of the assignment, from 0.
            trainers: numbers of each trainer, in order of rank: `blocks`, `sets`, `nodes`,
                `edges`, `positives`, `resident_edges`.
        """

    def on_step(self, averaging: TimedAveraging) -> None:
        """Called after each optimizer step."""

    def on_pause(self) -> None:
        """Called before a time without steps, while the trainer reads data or waits for others."""

    def on_round(self, outcome: Aggregation) -> bool:
        """Called after each aggregation. Returns whether to stop early."""
        return False


class Callbacks(Callback):
    """Calls several callbacks in order."""

    def __init__(self, callbacks: Sequence[Callback]):
        self.callbacks = callbacks

    def on_assignment(self, averaging: TimedAveraging, number: int, trainers: list[dict]) -> None:
        for callback in self.callbacks:
            callback.on_assignment(averaging, number, trainers)

    def on_step(self, averaging: TimedAveraging) -> None:
        for callback in self.callbacks:
            callback.on_step(averaging)

    def on_pause(self) -> None:
        for callback in self.callbacks:
            callback.on_pause()

    def on_round(self, outcome: Aggregation) -> bool:
        stop = [callback.on_round(outcome) for callback in self.callbacks]
        return any(stop)
