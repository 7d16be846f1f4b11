"""Callbacks on assignments, steps, pauses and rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hvdtma.aggregate import Aggregation, TimedAveraging
from hvdtma.core.contract import Call, check_methods
from hvdtma.core.errors import UserError


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


CALLS = {
    "on_assignment": Call(("averaging", "number", "trainers")),
    "on_step": Call(("averaging",)),
    "on_pause": Call(),
    "on_round": Call(("outcome",)),
}


def check_callbacks(callbacks: Any) -> None:
    """Raises UserError for anything but a list, or another sequence, of `Callback` objects."""
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Sequence):
        raise UserError(
            f"callbacks is {_named(callbacks)}; give a list of hvdtma.Callback objects, as in "
            "callbacks=[MyCallback()]"
        )
    for callback in callbacks:
        if isinstance(callback, type) and issubclass(callback, Callback):
            name = callback.__name__
            raise UserError(f"callbacks has the class {name}; give an object of it: {name}()")
        if not isinstance(callback, Callback):
            raise UserError(
                f"callbacks has {_named(callback)}; each one must be an object of a subclass of "
                "hvdtma.Callback (docs/extending.md)"
            )
        check_methods("callback", _named(callback), callback, CALLS)


def _named(thing: object) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    return f"an object of type {type(thing).__name__}"


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
