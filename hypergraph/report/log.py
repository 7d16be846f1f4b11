"""A run's folder as it stands: everything it says so far, whether the run ended or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.runs.report.run_log import read_events, read_json
from hypergraph.metrics import LEAST_IS_BEST
from hypergraph.report.items import Items
from hypergraph.run_folder import ENDS, FitFolder


@dataclass(frozen=True)
class FitLog:
    """What a run's folder holds.

    Attributes:
        config: the whole config, as it is written.
        start: of what the run is; empty if it did not come so far.
        scores: the events of iterations, in order; of repeated ones the last.
        end: the event that it was cut short with, if it was and did not go on.
        summary: empty while the run is unfinished.
        items: those to draw, see `items.choose_items`.
        damaged_lines: lines of the log that could not be read (the last one may be half-written).
    """

    folder: Path
    config: str = ""
    versions: dict = field(default_factory=dict)
    start: dict = field(default_factory=dict)
    scores: list[dict] = field(default_factory=list)
    end: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    items: Items = field(default_factory=dict)
    damaged_lines: int = 0

    @property
    def modalities(self) -> dict[str, dict]:
        """Name -> items, rank and device, in order."""
        return self.start.get("modalities", {})

    @cached_property
    def last(self) -> dict:
        """The last event of iterations; empty before the first."""
        return self.scores[-1] if self.scores else {}

    @cached_property
    def metric(self) -> str | None:
        """The metric that chooses; the first one scored, unless the config named another."""
        scored = [*(event["valid"] for event in self.scores), self.test]
        first = next((metric for metrics in scored for metric in metrics), None)
        return self.start.get("metric") or first

    @cached_property
    def best(self) -> int | None:
        """Which of the scores is the best so far: the first of equal ones, as in training."""
        value_of = {at: event["valid"].get(self.metric) for at, event in enumerate(self.scores)}
        known = {at: value for at, value in value_of.items() if value is not None}
        choose = min if self.metric in LEAST_IS_BEST else max
        return choose(known, key=known.__getitem__, default=None)

    @cached_property
    def valid(self) -> dict[str, float]:
        """Metric -> the best validation score so far."""
        return {} if self.best is None else self.scores[self.best]["valid"]

    @property
    def test(self) -> dict[str, float]:
        """Metric -> test score; empty while there is none."""
        return self.summary.get("test", {})


def read_run(folder: Path) -> FitLog:
    """Read a run's folder, finished or not; raises UserError if it is none."""
    run = FitFolder(folder)
    log, config = run.metrics, run.config_file
    if not log.exists() or not config.exists():
        raise UserError(
            f"no run at {folder} (no {config.name} with a {log.name}); "
            "python -m hypergraph train makes one"
        )
    events, damaged = read_events(log)
    starts = [event for event in events if event["kind"] == "start"]
    scores = {event["iteration"]: event for event in events if event["kind"] == "iterations"}
    return FitLog(
        folder=folder,
        config=config.read_text(encoding="utf-8"),
        versions=read_json(run.versions),
        start=starts[-1] if starts else {},
        scores=[scores[number] for number in sorted(scores)],
        end=events[-1] if events and events[-1]["kind"] in ENDS else {},
        summary=read_json(run.summary),
        items=read_json(run.items),
        damaged_lines=damaged,
    )
