"""The base class of the two views of a run for a person: the live view and the log view."""

from __future__ import annotations

from math import inf
from typing import NamedTuple, Self

from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.event_text import number_text


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
                order = self.metric(event).order(event["metrics"])
                if order > (self.metric(event).order(self.best["metrics"]) if self.best else -inf):
                    self.best = event

    def update(self, event: dict) -> None:
        """Take in a new event of metrics.jsonl and show it; unknown kinds are ignored."""
        self.replay(event)

    def tick(self, tick: Tick) -> None:
        """Take in the state within a round; may be called at every step."""

    def phase(self, text: str) -> None:
        """Show a phase without training, such as scoring, until the next step."""

    def metric(self, score: dict) -> BestMetric:
        """The metric that chooses the best round: the run's own, or else the first one."""
        return BestMetric.of_run(self.start, score["metrics"])

    @property
    def best_text(self) -> str:
        """The best round and its score in words."""
        name = self.metric(self.best).name
        return f"round {self.best['round']}: {name} {number_text(self.best['metrics'][name])}"
