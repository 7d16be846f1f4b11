"""A run folder as it stands: everything it says so far, whether the run ended or not.

Legend: R rounds in the log, M trainers (the most of any round).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from hvdtma.core.errors import UserError

KINDS = ("start", "skipped", "failed", "interrupted", "members")  # the events that are not numbered


@dataclass(frozen=True)
class RunLog:
    """What a run folder holds.

    Attributes:
        config: the resolved config, as it is written.
        start: the last start event; earlier ones are of runs this one took up again.
        assignments, rounds, scores: events in order of their number. A resumed run repeats its last
            rounds: of events with the same number the last one holds.
        skipped: rounds the evaluator did not score.
        failed: why the run failed; empty if it did not.
        interrupted: why it was cut short, if it was and did not go on.
        changes: of the trainers, in order: who was lost, who joined.
        summary: empty while the run is unfinished.
        damaged_lines: lines of the log that could not be read (the last one may be half-written).
    """

    folder: Path
    config: str = ""
    versions: dict = field(default_factory=dict)
    start: dict = field(default_factory=dict)
    assignments: list[dict] = field(default_factory=list)
    rounds: list[dict] = field(default_factory=list)
    scores: list[dict] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    failed: str = ""
    interrupted: str = ""
    changes: list[dict] = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    damaged_lines: int = 0

    @cached_property
    def trainers(self) -> int:
        """M."""
        said = self.start.get("trainers") or self.summary.get("trainers") or 0
        return max([said, *(len(event["trainers"]) for event in self.assignments + self.rounds)])

    @cached_property
    def valid(self) -> list[dict]:
        """Validation scores in order of rounds."""
        return [event for event in self.scores if event["part"] == "valid"]

    @cached_property
    def metric(self) -> str | None:
        """The metric the best round is chosen by; the first one scored unless the run names it."""
        named = self.summary.get("metric") or self.start.get("metric")
        return named or next((m for event in self.scores for m in event["metrics"]), None)

    @cached_property
    def best(self) -> dict | None:
        """The validation score of the best round: the summary's, else the highest so far."""
        by_round = {event["round"]: event for event in self.valid}
        scored = [e for e in self.valid if e["metrics"].get(self.metric) is not None]
        highest = max(scored, key=lambda event: event["metrics"][self.metric], default=None)
        return by_round.get(self.summary.get("best_round"), highest)

    @cached_property
    def test(self) -> dict:
        """Metric -> test score; empty while there is none."""
        events = [event["metrics"] for event in self.scores if event["part"] == "test"]
        return self.summary.get("test") or (events[-1] if events else {})

    def of_rounds(self, key: str) -> list:
        """List one value of each round, such as `time_s`."""
        return [event.get(key) for event in self.rounds]

    def of_trainers(self, events: list[dict], key: str) -> np.ndarray:
        """Collect a value of each trainer in each event, float64 [R, M]; NaN where it lacks."""
        values_RM = np.full((len(events), self.trainers), np.nan)
        for row, event in enumerate(events):
            values = [trainer.get(key) for trainer in event["trainers"]]
            values_RM[row, : len(values)] = np.array(values, float)
        return values_RM


def read_run(folder: Path) -> RunLog:
    """Read a run folder, finished or not; raises UserError if it is none."""
    log, config = folder / "metrics.jsonl", folder / "config.yaml"
    if not log.exists() and not config.exists():
        raise UserError(
            f"{folder} is not the folder of a run: it has neither metrics.jsonl nor config.yaml. "
            "`hvdtma train CONFIG` makes one."
        )
    events, damaged = read_events(log)
    of_kind = {kind: [e for e in events if e["kind"] == kind] for kind in KINDS}
    return RunLog(
        folder=folder,
        config=config.read_text(encoding="utf-8") if config.exists() else "",
        versions=read_json(folder / "versions.json"),
        start=of_kind["start"][-1] if of_kind["start"] else {},
        assignments=_latest(events, "assignment", "assignment"),
        rounds=_latest(events, "round", "round"),
        scores=_latest(events, "score", "round", "part"),
        failed=of_kind["failed"][-1]["why"] if of_kind["failed"] else "",
        interrupted=of_kind["interrupted"][-1]["why"] if of_kind["interrupted"] else "",
        changes=of_kind["members"],
        skipped=sorted({r for event in of_kind["skipped"] for r in event["rounds"]}),
        summary=read_json(folder / "summary.json"),
        damaged_lines=damaged,
    )


def _loads(text: str) -> object:
    """Read JSON in which NaN and infinities, which Python writes though JSON has none, are null."""
    return json.loads(text, parse_constant=lambda _: None)


def read_json(path: Path) -> dict:
    """Read an object; an empty one if the file is not there."""
    if not path.exists():
        return {}
    value = _loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def read_events(path: Path) -> tuple[list[dict], int]:
    """Return the events that can be read, and how many lines cannot."""
    events, damaged = [], 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for line in lines:
        try:
            event = _loads(line)
        except json.JSONDecodeError:
            damaged += 1
            continue
        if isinstance(event, dict) and "kind" in event:
            events.append(event)
        else:
            damaged += 1
    return events, damaged


def _latest(events: list[dict], kind: str, *keys: str) -> list[dict]:
    """Keep, of the events of a kind, the last for each value of the keys; in their order."""
    by_key = {tuple(e[key] for key in keys): e for e in events if e["kind"] == kind}
    return [by_key[key] for key in sorted(by_key)]
