"""Follow jobs until they end: their states, and the validation scores of their runs.

A terminal shows a live table; a log gets one line for each change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.live import Live
from rich.markup import escape
from rich.table import Table

from hvdtma.core.console import console, on_terminal
from hvdtma.runs import event_text
from hvdtma.runs.best_metric import BestMetric
from hvdtma.runs.run_folder import RunFolder
from slurm.specs import JobSpec
from slurm.states import ACTIVE, COMPLETED, job_states

POLL_S = 5.0
TAIL_LINES = 15  # of the log of a job that failed


@dataclass
class JobProgress:
    """The last known state of a job and its run."""

    spec: JobSpec
    state: str = ""
    reason: str = ""
    rounds: int = 0
    start: dict = field(default_factory=dict)
    score: dict | None = None
    best: dict | None = None
    reported: set[tuple] = field(default_factory=set)
    polls_ended: int = 0

    @property
    def ended(self) -> bool:
        """Ended at two polls in a row: a job that is being requeued may look ended once."""
        return self.polls_ended > 1

    def update(self, state: str, reason: str) -> list[str]:
        """Take a new state, and read the run's new events; returns a line for each change."""
        lines = []
        if (state, reason) != (self.state, self.reason):
            lines.append(f"{state}{f' ({reason})' if reason else ''}")
        self.state, self.reason = state, reason
        self.polls_ended = 0 if state in ACTIVE else self.polls_ended + 1
        for event in self._events():
            key = (event["kind"], event.get("part"), event.get("round"), event.get("why"))
            if key not in self.reported and (line := self._line(event)):
                lines.append(line)
            self.reported.add(key)
        return lines

    def _events(self) -> list[dict]:
        return RunFolder(self.spec.config.run).events() if self.spec.config else []

    def _line(self, event: dict) -> str:
        match event:
            case {"kind": "start"}:
                self.start = event
            case {"kind": "round"}:
                self.rounds = event["round"]
                return ""
            case {"kind": "score", "part": "valid"}:
                self.score = event
                metric = self._metric(event)
                if self.best is None or metric.order(event["metrics"]) > metric.order(
                    self.best["metrics"]
                ):
                    self.best = event
                    return f"{event_text.line(event)} (best)"
                return event_text.line(event)
            case {"kind": "score"}:
                return event_text.line(event)
            case {"kind": "failed" | "interrupted"}:
                return str(event["why"])
        return ""

    def _metric(self, score: dict) -> BestMetric:
        """The metric that chooses the best round."""
        assert self.spec.config is not None
        facts = self.start or {"metric": self.spec.config.evaluate.metric}
        return BestMetric.of_run(facts, score["metrics"])

    def cells(self) -> list[str]:
        """The job's row in the table."""
        best = ""
        if self.best and self.spec.config:
            metric = self._metric(self.best)
            value = metric.value(self.best["metrics"])
            text = "not a number" if value is None else event_text.number_text(value)
            best = f"{metric.name} {text}, round {self.best['round']}"
        score = event_text.metrics(self.score) if self.score else ""
        state = f"{self.state} {self.reason}".strip()
        return [self.spec.id, state, str(self.rounds or ""), score, best, self.spec.name]


def watch_jobs(specs: Sequence[JobSpec]) -> int:
    """Follow jobs until all have ended; 0 if all completed.

    Ctrl-C ends the watching (130); the jobs continue.
    """
    jobs = [JobProgress(spec) for spec in specs]
    try:
        if on_terminal(console):
            with Live(_table(jobs), console=console) as live:
                while not _poll(jobs):
                    live.update(_table(jobs))
                    time.sleep(POLL_S)
                live.update(_table(jobs))
        else:
            while not _poll(jobs, print_changes=True):
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        console.print("no longer watching; the jobs continue")
        return 130
    failed = [job for job in jobs if job.state != COMPLETED]
    for job in failed:
        _print_log(job)
    return int(bool(failed))


def _poll(jobs: list[JobProgress], *, print_changes: bool = False) -> bool:
    """Update all jobs; whether all have ended."""
    states = job_states([job.spec for job in jobs if not job.ended])
    for job in jobs:
        if job.ended:
            continue
        for line in job.update(*states[job.spec.id]):
            if print_changes:
                text = f"{job.spec.id} {job.spec.name}: {line}"
                console.print(text, markup=False, soft_wrap=True)
    return all(job.ended for job in jobs)


def _table(jobs: list[JobProgress]) -> Table:
    table = Table(box=None, header_style="dim")
    for title in ("job", "state", "round", "validation", "best", "run"):
        table.add_column(title)
    for job in jobs:
        table.add_row(*map(escape, job.cells()))
    return table


def _print_log(job: JobProgress) -> None:
    """Print the last lines of the output of a job's task 0."""
    log = job.spec.log
    console.print(f"[bold red]{job.spec.id} ended as {job.state}[/]; its log: {escape(str(log))}")
    if log.exists():
        lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        console.print("\n".join(f"    {line}" for line in lines), markup=False, soft_wrap=True)
