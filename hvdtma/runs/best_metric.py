"""The metric that chooses the best round, and its direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hvdtma.runs.event_text import is_number


@dataclass(frozen=True)
class BestMetric:
    """A metric, and whether its lowest value is the best."""

    name: str
    least_is_best: bool = False

    def value(self, metrics: Mapping[str, float | None]) -> float | None:
        """The finite value of the metric; None if there is none."""
        value = metrics.get(self.name)
        return value if is_number(value) else None

    def order(self, metrics: Mapping[str, float | None]) -> float:
        """A number that is larger for a better score; -inf without a finite value."""
        value = self.value(metrics)
        if value is None:
            return float("-inf")
        return -value if self.least_is_best else value

    @classmethod
    def of_run(
        cls, facts: Mapping[str, Any], scored: Mapping[str, Any] | None = None
    ) -> BestMetric:
        """The metric of a run, from its start event or its summary.

        Args:
            scored: the metrics of a score; the first one is taken if `facts` name none.
        """
        name = facts.get("metric") or next(iter(scored or {}), "")
        return cls(name, name in facts.get("least_is_best", ()))
