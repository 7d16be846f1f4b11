"""The contents of the folder of a training run: rounds, assignments and scores.

Legend: R rounds in the log, M trainers (the most of any round).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.report.record import RunRecord
from hvdtma.runs.run_folder import RunFolder


@dataclass(frozen=True)
class RunLog(RunRecord):
    """The record of a training run."""

    @cached_property
    def assignments(self) -> list[dict]:
        """Assignment events in order."""
        return self.latest("assignment", "assignment")

    @cached_property
    def rounds(self) -> list[dict]:
        """Round events in order."""
        return self.latest("round", "round")

    @cached_property
    def scores(self) -> list[dict]:
        """Score events in order of rounds."""
        return self.latest("score", "round", "part")

    @cached_property
    def changes(self) -> list[dict]:
        """Events of trainers that were lost or joined, in order."""
        return self.of_kind("members")

    @cached_property
    def skipped(self) -> list[int]:
        """Rounds that the evaluator did not score."""
        rounds = {number for event in self.of_kind("skipped") for number in event["rounds"]}
        return sorted(rounds) or self.summary.get("skipped_rounds") or []

    @cached_property
    def trainers(self) -> int:
        """The number of trainers M."""
        recorded = self.start.get("trainers") or self.summary.get("trainers") or 0
        events = self.assignments + self.rounds
        return max([recorded, *(len(event["trainers"]) for event in events)])

    @cached_property
    def valid(self) -> list[dict]:
        """Validation scores in order of rounds."""
        return [event for event in self.scores if event["part"] == "valid"]

    @cached_property
    def metric(self) -> str | None:
        """The metric that chooses the best round; if the run names none, the first one scored."""
        named = self.summary.get("metric") or self.start.get("metric")
        return named or next((m for event in self.scores for m in event["metrics"]), None)

    @cached_property
    def least_is_best(self) -> list[str]:
        """The metrics whose lowest value is the best."""
        return self.summary.get("least_is_best") or self.start.get("least_is_best") or []

    @cached_property
    def chance(self) -> dict[str, float]:
        """Metric -> its value of a model that has learned nothing, as far as it is known."""
        return self.summary.get("chance") or self.start.get("chance") or {}

    @cached_property
    def best(self) -> dict | None:
        """The validation score of the best round: the summary's, else the best so far."""
        by_round = {event["round"]: event for event in self.valid}
        metric = BestMetric(self.metric or "", self.metric in self.least_is_best)
        scored = [e for e in self.valid if metric.value(e["metrics"]) is not None]
        best = max(scored, key=lambda event: metric.order(event["metrics"]), default=None)
        return by_round.get(self.summary.get("best_round"), best)

    @cached_property
    def test(self) -> dict:
        """Metric -> test score; empty while there is none."""
        events = [event["metrics"] for event in self.scores if event["part"] == "test"]
        return self.summary.get("test") or (events[-1] if events else {})

    @cached_property
    def best_valid(self) -> dict:
        """Metric -> validation score of the best round; empty while there is none."""
        return self.best["metrics"] if self.best else self.summary.get("valid") or {}

    def of_rounds(self, key: str) -> list:
        """One value of each round, such as `time_s`."""
        return [event.get(key) for event in self.rounds]

    def of_trainers(self, events: list[dict], key: str) -> np.ndarray:
        """One value of each trainer in each event, float64 [R, M]; NaN where it is missing."""
        values_RM = np.full((len(events), self.trainers), np.nan)
        for row, event in enumerate(events):
            values = [trainer.get(key) for trainer in event["trainers"]]
            values_RM[row, : len(values)] = np.array(values, float)
        return values_RM


def read_run(folder: Path) -> RunLog:
    """Read a run's folder, finished or not; raises UserError if there is no run."""
    return RunLog.read(RunFolder(folder))
