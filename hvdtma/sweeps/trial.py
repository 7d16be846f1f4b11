"""A trial of a sweep, and its result: the validation score of its run's best round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: from 1.
        words: the values of the sweep's keys, as `key=value`.
        run: the folder of its run.
        state: `started` also if it was interrupted.
        why: the reason of a failure.
        metric: the metric that chooses the best round of its run.
        least_is_best: whether the lowest value of `metric` is the best.
        valid, test: the scores of the best round, by metric.
        best_round: the best round by validation.
    """

    number: int
    words: Sequence[str]
    run: Path
    state: Literal["started", "finished", "failed"] = "started"
    why: str = ""
    metric: str = ""
    least_is_best: bool = False
    valid: dict[str, float | None] = field(default_factory=dict)
    test: dict[str, float | None] = field(default_factory=dict)
    best_round: int = 0

    @property
    def score(self) -> float | None:
        """The validation score of a finished trial."""
        return BestMetric(self.metric, self.least_is_best).value(self.valid)

    @property
    def order(self) -> float:
        """A number that is larger for a better validation score; -inf without one."""
        return BestMetric(self.metric, self.least_is_best).order(self.valid)

    def failed(self, why: str) -> Trial:
        """The same trial, failed."""
        return replace(self, state="failed", why=why)

    def with_result(self) -> Trial:
        """The same trial, with the result of its run as far as there is one."""
        run = RunFolder(self.run)
        if not run.summary.is_file():
            events = run.events()
            last = events[-1] if events else {}
            return self.failed(str(last["why"])) if last.get("kind") == "failed" else self
        summary = run.read_summary()
        metric = str(summary["metric"])
        found = replace(
            self,
            state="finished",
            metric=metric,
            least_is_best=metric in summary.get("least_is_best", ()),
            valid=summary["valid"],
            test=summary["test"],
            best_round=summary["best_round"],
        )
        return found if found.score is not None else self.failed(f"its {metric} is no number")


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The finished trial with the best validation score; None without any."""
    finished = [trial for trial in trials if trial.state == "finished"]
    return max(finished, key=lambda trial: trial.order, default=None)
