"""The view of a run in a log, as under horovodrun, srun or sbatch: plain lines, not too many.

event                                  line
start, members, skipped, test score    at once
new assignment, best score             at once after a quiet time, else in the next line
round, other validation scores         summed up in a line every 10 s at most

metrics.jsonl has all of them.
"""

from __future__ import annotations

from rich.console import Console

from hvdtma.core.console import LineLimit
from hvdtma.core.console import console as house_console
from hvdtma.runs import event_text
from hvdtma.runs.view import RunView, Tick


class LogView(RunView):
    """Prints a run as lines."""

    def __init__(self, console: Console = house_console, limit: LineLimit | None = None):
        super().__init__()
        self._console, self._limit = console, limit or LineLimit()
        self._pending: list[dict] = []
        self._urgent = False

    def __exit__(self, *error: object) -> None:
        self._flush()

    def update(self, event: dict) -> None:
        self.replay(event)
        match event:
            case {"kind": "round"} | {"kind": "score", "part": "valid"} | {"kind": "assignment"}:
                self._pending.append(event)
                self._urgent |= event["kind"] == "assignment" or event is self.best
                self._flush_if_allowed()
            case _:
                self._print(event_text.line(event))

    def tick(self, tick: Tick) -> None:
        self._flush_if_allowed()

    def phase(self, text: str) -> None:
        self._print(text)

    def _flush_if_allowed(self) -> None:
        if self._pending and self._limit.allows(urgent=self._urgent):
            self._flush()

    def _flush(self) -> None:
        pending, self._pending, self._urgent = self._pending, [], False
        if pending:
            self._print(self._summed_up(pending))

    def _print(self, line: str) -> None:
        if line:
            self._flush()
            self._console.print(line, markup=False, soft_wrap=True)

    def _summed_up(self, events: list[dict]) -> str:
        """Assignments, rounds and validation scores in one line."""
        last = {event["kind"]: event for event in events}
        parts = []
        if "assignment" in last:
            parts.append(event_text.assignment(last["assignment"]))
        if "round" in last:
            parts.append(event_text.rounds([event for event in events if event["kind"] == "round"]))
        if "score" in last:
            is_best = last["score"] is self.best
            parts.append(event_text.line(last["score"]) + (" (best)" if is_best else ""))
            if not is_best and any(event is self.best for event in events):
                parts.append(f"best after {self.best_text}")
        return "; ".join(parts)
