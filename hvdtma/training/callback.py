"""Callbacks: what is told of a trainer's assignments, steps and rounds."""

from __future__ import annotations

from collections.abc import Sequence

from hvdtma.aggregate import Aggregation, TimedAveraging


class Callback:
    """Called by a trainer while it trains. The methods do nothing; a subclass overrides some.

    `hvdtma.train` passes its callbacks to the first trainer only.
    Time in a callback counts as training, except in `on_assignment` and `on_round`.
    """

    def on_assignment(self, averaging: TimedAveraging, number: int, trainers: list[dict]) -> None:
        """Blocks were assigned to all trainers.

        Args:
            number: of the assignment, from 0.
            trainers: for each trainer in order of rank: `blocks`, `sets`, `nodes`, `edges`,
                `positives`, `resident_edges`.
        """

    def on_step(self, averaging: TimedAveraging) -> None:
        """An optimizer step was taken."""

    def on_pause(self) -> None:
        """No step will be taken for a while: the trainer reads, or waits for others."""

    def on_round(self, outcome: Aggregation) -> bool:
        """The updates of a round were aggregated; return whether to stop early."""
        return False


class Callbacks(Callback):
    """Several callbacks as one, called in order."""

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
