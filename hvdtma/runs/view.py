"""The base class of the two views of a run for a person: the live view and the log view."""

from __future__ import annotations

from typing import NamedTuple, Self

from hvdtma.runs.event_text import is_number


class Tick(NamedTuple):
    """The state of trainer 0 within a round.

    Attributes:
        round: its number.
        time_left_s: seconds until its end; None if the round is counted in steps.
        steps: steps of this trainer in it so far.
        loss: a recent loss, already on the host.
        total_left_s: seconds until the run's time limit, if it has one.
    """

    round: int
    time_left_s: float | None
    steps: int
    loss: float | None
    total_left_s: float | None = None


class RunView:
    """Takes in the events of a run and keeps the latest of each kind; a context manager.

    Attributes:
        start, round, valid, test: the latest event of each kind, {} before there is one.
        best: the event of the best validation score, {} before there is one.
    """

    def __init__(self) -> None:
        self.start: dict = {}
        self.round: dict = {}
        self.valid: dict = {}
        self.test: dict = {}
        self.best: dict = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End the output."""

    def replay(self, event: dict) -> None:
        """Take in an event of metrics.jsonl from before this process; it is not shown again."""
        match event:
            case {"kind": "start"}:
                self.start = event
            case {"kind": "round"}:
                self.round = event
            case {"kind": "score", "part": "test"}:
                self.test = event
            case {"kind": "score"}:
                if event["round"] >= self.valid.get("round", 0):
                    self.valid = event
                value = event["metrics"].get(self.metric(event))
                if is_number(value) and value > self.best_value:
                    self.best = event

    def update(self, event: dict) -> None:
        """Take in a new event of metrics.jsonl and show it; unknown kinds are ignored."""
        self.replay(event)

    def tick(self, tick: Tick) -> None:
        """Take in the state within a round; may be called at every step."""

    def phase(self, text: str) -> None:
        """Show a phase without training, such as scoring, until the next step."""

    def metric(self, score: dict) -> str:
        """The metric that chooses the best round: the run's own, or else the first one."""
        return self.start.get("metric") or next(iter(score["metrics"]))

    @property
    def best_value(self) -> float:
        """The best round's value of that metric; -inf before there is one."""
        return self.best["metrics"][self.metric(self.best)] if self.best else float("-inf")

    @property
    def best_text(self) -> str:
        """The best round and its score in words."""
        return f"round {self.best['round']}: {self.metric(self.best)} {self.best_value:.4f}"
