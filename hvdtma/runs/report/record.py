"""The files of a run's folder, read as far as they exist: finished, failed or still training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from hvdtma.core.digests import damaged
from hvdtma.runs.folder import ENDS, BaseRunFolder


@dataclass(frozen=True)
class RunRecord:
    """The contents of the folder of a run of any kind.

    Attributes:
        config: the text of config.yaml.
        events: the events of metrics.jsonl, in order.
        summary: empty while the run is unfinished.
        damaged_lines: lines of metrics.jsonl that could not be read; the last one may be
            half-written.
    """

    folder: Path
    config: str = ""
    versions: dict = field(default_factory=dict)
    events: list[dict] = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    damaged_lines: int = 0

    @classmethod
    def read(cls, run: BaseRunFolder) -> Self:
        """Read a run's folder; raises UserError if there is no run."""
        run.check_there()
        events, damaged = read_events(run.metrics)
        return cls(
            folder=run.path,
            config=run.config_file.read_text(encoding="utf-8"),
            versions=read_json(run.versions),
            events=events,
            summary=run.read_summary(),
            damaged_lines=damaged,
        )

    @cached_property
    def start(self) -> dict:
        """The last start event, empty if there is none; earlier ones are of resumed runs."""
        return next(iter(reversed(self.of_kind("start"))), {})

    @cached_property
    def end(self) -> dict:
        """The last event if it is a failure or an interruption; else empty."""
        last = self.events[-1] if self.events else {}
        return last if last.get("kind") in ENDS else {}

    def of_kind(self, kind: str) -> list[dict]:
        """All events of a kind."""
        return [event for event in self.events if event["kind"] == kind]

    def latest(self, kind: str, *keys: str) -> list[dict]:
        """The last event of a kind for each value of the keys, sorted by these values.

        A resumed run repeats events.
        """
        by_key = {tuple(event[key] for key in keys): event for event in self.of_kind(kind)}
        return [by_key[key] for key in sorted(by_key)]


def read_json(path: Path) -> dict:
    """Read an object; an empty one if the file is missing. Raises UserError if it is damaged."""
    if not path.exists():
        return {}
    try:
        value = _loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise damaged(path) from None
    return value if isinstance(value, dict) else {}


def read_events(path: Path) -> tuple[list[dict], int]:
    """The events that can be read, and the number of lines that cannot."""
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


def _loads(text: str) -> object:
    """Read JSON; NaN and infinities, which Python writes though JSON has none, become None."""
    return json.loads(text, parse_constant=lambda _: None)
