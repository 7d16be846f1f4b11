"""Follow jobs until they end: their states, and the validation scores of their runs.

On a terminal a table that keeps up to date; in a log a line for each change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console
from hvdtma.runs import event_text
from hvdtma.runs.run_folder import RunFolder
from slurm.states import COMPLETED, UNDER_WAY, job_states

if TYPE_CHECKING:
    from slurm.specs import JobSpec

LOOK_S = 5.0
TAIL_LINES = 15  # of the log of a job that failed


@dataclass
class Row:
    """A job and its run as last seen."""

    part: JobSpec
    state: str = ""
    reason: str = ""
    rounds: int = 0
    score: dict | None = None
    best: dict | None = None
    shown: set[tuple] = field(default_factory=set)
    looks_ended: int = 0

    @property
    def over(self) -> bool:
        """Seen ended twice: a job that goes back into the queue may look so once."""
        return self.looks_ended > 1

    def look(self, state: str, reason: str) -> list[str]:
        """Take in a state and what the run has come to; what is new of it, as lines."""
        lines = []
        if (state, reason) != (self.state, self.reason):
            lines.append(f"{state}{f' ({reason})' if reason else ''}")
        self.state, self.reason = state, reason
        self.looks_ended = 0 if state in UNDER_WAY else self.looks_ended + 1
        for event in self._events():
            place = (event["kind"], event.get("part"), event.get("round"), event.get("why"))
            if place not in self.shown and (line := self._line(event)):
                lines.append(line)
            self.shown.add(place)
        return lines

    def _events(self) -> list[dict]:
        return RunFolder(self.part.config.run).events() if self.part.config else []

    def _line(self, event: dict) -> str:
        match event:
            case {"kind": "round"}:
                self.rounds = event["round"]
                return ""
            case {"kind": "score", "part": "valid"}:
                self.score = event
                if self.best is None or self._value(event) > self._value(self.best):
                    self.best = event
                    return f"{event_text.line(event)} (best)"
                return event_text.line(event)
            case {"kind": "score"}:
                return event_text.line(event)
            case {"kind": "failed" | "interrupted"}:
                return str(event["why"])
        return ""

    def _value(self, event: dict) -> float:
        assert self.part.config is not None
        value = event["metrics"].get(self.part.config.metric)
        return value if event_text.is_number(value) else float("-inf")

    def cells(self) -> list[str]:
        """The row of the table."""
        best = ""
        if self.best and self.part.config:
            metric = self.part.config.metric
            best = f"{metric} {self._value(self.best):.4f}, round {self.best['round']}"
        score = event_text.metrics(self.score) if self.score else ""
        state = f"{self.state} {self.reason}".strip()
        return [self.part.id, state, str(self.rounds or ""), score, best, self.part.name]


def watch(parts: Sequence[JobSpec], look_s: float = LOOK_S) -> int:
    """Follow jobs until all have ended; 0 if all ended well. Ctrl-C ends only this."""
    rows = [Row(part) for part in parts]
    try:
        if console.is_terminal:
            with Live(_table(rows), console=console) as live:
                while not _look(rows):
                    live.update(_table(rows))
                    time.sleep(look_s)
                live.update(_table(rows))
        else:
            while not _look(rows, aloud=True):
                time.sleep(look_s)
    except KeyboardInterrupt:
        console.print("no longer watched; the jobs go on")
        return 130
    failed = [row for row in rows if row.state != COMPLETED]
    for row in failed:
        _show_log(row)
    return int(bool(failed))


def _look(rows: list[Row], *, aloud: bool = False) -> bool:
    """See how all jobs are; whether all have ended."""
    states = job_states([row.part for row in rows if not row.over])
    for row in rows:
        if row.over:
            continue
        for line in row.look(*states[row.part.id]):
            if aloud:
                console.print(
                    f"{row.part.id} {row.part.name}: {line}", markup=False, soft_wrap=True
                )
    return all(row.over for row in rows)


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, header_style="dim")
    for title in ("job", "state", "round", "validation", "best", "run"):
        table.add_column(title)
    for row in rows:
        table.add_row(*map(escape, row.cells()))
    return table


def _show_log(row: Row) -> None:
    """The end of what task 0 of a job printed."""
    log = row.part.log
    console.print(f"[bold red]{row.part.id} ended as {row.state}[/]; its log is {escape(str(log))}")
    if log.exists():
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        console.print("\n".join(f"    {line}" for line in lines), markup=False, soft_wrap=True)
