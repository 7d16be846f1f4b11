"""The contents of the folder of a run of HyperLearn: scores and modalities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hvdtma.runs.report.record import RunRecord, read_json
from hypergraph.metrics import LEAST_IS_BEST
from hypergraph.report.items import DrawnItems
from hypergraph.run_folder import FitFolder


@dataclass(frozen=True)
class FitLog(RunRecord):
    """The record of a run of HyperLearn."""

    @cached_property
    def scores(self) -> list[dict]:
        """The events of scores, in order of iterations."""
        return self.latest("iterations", "iteration")

    @cached_property
    def items(self) -> DrawnItems:
        """The items to draw, see `items.choose_items`."""
        return read_json(FitFolder(self.folder).items)

    @property
    def modalities(self) -> dict[str, dict]:
        """Name -> number of items, rank and device."""
        return self.start.get("modalities", {})

    @cached_property
    def last(self) -> dict:
        """The last score; empty before the first."""
        return self.scores[-1] if self.scores else {}

    @cached_property
    def metric(self) -> str | None:
        """The metric that chooses the best factors; if the config names none, the first scored."""
        scored = [*(event["valid"] for event in self.scores), self.test]
        first = next((metric for metrics in scored for metric in metrics), None)
        return self.start.get("metric") or first

    @cached_property
    def best(self) -> int | None:
        """The position of the best score so far; of equal scores the first, as in training."""
        value_of = {at: event["valid"].get(self.metric) for at, event in enumerate(self.scores)}
        known = {at: value for at, value in value_of.items() if value is not None}
        choose = min if self.metric in LEAST_IS_BEST else max
        return choose(known, key=known.__getitem__, default=None)

    @cached_property
    def valid(self) -> dict[str, float]:
        """Metric -> value of the best validation score so far."""
        return {} if self.best is None else self.scores[self.best]["valid"]

    @property
    def test(self) -> dict[str, float]:
        """Metric -> test score; empty while there is none."""
        return self.summary.get("test", {})


def read_run(folder: Path) -> FitLog:
    """Read a run's folder, finished or not; raises UserError if there is no run."""
    return FitLog.read(FitFolder(folder))
