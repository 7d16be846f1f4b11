"""What rank 0 shows of a run while it goes on: one live view on a terminal, lines in a log.

The view is drawn by a thread of its own, four times a second, from what the training loop last
left here. That thread never touches a collective, and the loop never waits for a terminal: a
`tick` only keeps its arguments.
"""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from types import TracebackType
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hvdtma.console import console as house_console

REFRESH_PER_S = 4
SHOWN_TRAINERS = 8  # more are summed up as a range


class Tick(NamedTuple):
    """Where rank 0 stands within a round."""

    round: int
    time_left_s: float | None
    steps: int
    loss: float | None
    total_left_s: float | None


class LiveView:
    """Shows the events of metrics.jsonl, and between them how the present round goes.

    Used as a context manager; leaving it, by Ctrl-C too, gives the terminal back as it was.
    Without a terminal each event becomes one plain line and ticks are not shown.
    """

    def __init__(self, console: Console | None = None):
        self._console = console or house_console
        self._start: dict = {}
        self._round: dict = {}
        self._tick: Tick | None = None
        self._score: dict = {}
        self._best: dict = {}
        self._best_value = float("-inf")
        self._test: dict = {}
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                refresh_per_second=REFRESH_PER_S,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._tick = None
            self._live.stop()
            self._live = None

    def start(self, event: dict) -> None:
        """Take the start event: what is about to run."""
        self.update(event)

    def update(self, event: dict) -> None:
        """Take an event of metrics.jsonl; kinds that are not shown are passed over."""
        match event:
            case {"kind": "start"}:
                self._start = event
            case {"kind": "round"}:
                self._round = event
            case {"kind": "score", "part": "test"}:
                self._test = event
            case {"kind": "score"}:
                self._take_score(event)
        if self._live is None:
            line = self._line(event)
            if line:
                self._console.print(line, markup=False, soft_wrap=True)

    def tick(
        self,
        round: int,
        time_left_s: float | None,
        steps: int,
        loss: float | None,
        *,
        total_left_s: float | None = None,
    ) -> None:
        """Say how rank 0 stands in its round; may be called at every step.

        Args:
            round: the round it is in.
            time_left_s: until the round's deadline; None if the round is counted in steps.
            steps: it has made in this round.
            loss: of late, as a number that is already on the host.
            total_left_s: until the run's time limit, if it has one.
        """
        self._tick = Tick(round, time_left_s, steps, loss, total_left_s)

    def _take_score(self, event: dict) -> None:
        if event["round"] >= self._score.get("round", 0):
            self._score = event
        value = event["metrics"].get(self._metric(event))
        if value is not None and value > self._best_value:
            self._best, self._best_value = event, value

    def _metric(self, score: dict) -> str:
        """Name the metric the best is chosen by: the first one unless the run names it."""
        return self._start.get("metric") or next(iter(score["metrics"]))

    def _line(self, event: dict) -> str:
        match event:
            case {"kind": "start"}:
                return _headline(event)
            case {"kind": "deal"}:
                return f"deal {event['deal']}: {event['edges_kept']:.1%} of edges kept"
            case {"kind": "round"}:
                return (
                    f"round {event['round']}: {event['time_s']:.1f} s, loss {_mean_loss(event)}, "
                    f"{_steps(event)} steps, {_wait(event)}"
                )
            case {"kind": "score"}:
                mark = " (best)" if event is self._best else ""
                return f"{event['part']} after round {event['round']}: {_metrics(event)}{mark}"
            case {"kind": "skipped"}:
                return f"not scored: rounds {', '.join(map(str, event['rounds']))}"
        return ""

    def _view(self) -> Panel:
        rows = Table.grid(padding=(0, 3))
        rows.add_column(style="dim")
        rows.add_column(overflow="fold")
        for name, text in self._rows():
            rows.add_row(name, Text(text))
        title = Text(_headline(self._start) if self._start else "starting")
        return Panel(rows, title=title, title_align="left", border_style="blue", padding=(0, 2))

    def _rows(self) -> list[tuple[str, str]]:
        """List what the view shows, as far as it is known."""
        tick, last, rows = self._tick, self._round, []
        if tick:
            loss = "" if tick.loss is None else f", loss {tick.loss:.4f}"
            rows += [
                ("round", f"{tick.round}{_left(tick)}"),
                ("this round", f"{tick.steps} steps{loss}"),
            ]
        if last:
            rows += [
                ("last round", f"{last['round']}: loss {_mean_loss(last)}, {last['time_s']:.0f} s"),
                ("steps", _steps(last)),
                ("aggregation", _wait(last)),
            ]
        if self._score:
            rows.append(("validation", f"round {self._score['round']}: {_metrics(self._score)}"))
        if self._best:
            best = f"{self._metric(self._best)} {self._best_value:.4f}"
            rows.append(("best", f"round {self._best['round']}: {best}"))
        if self._test:
            rows.append(("test", f"round {self._test['round']}: {_metrics(self._test)}"))
        return rows


def _headline(start: dict) -> str:
    every = f"{start['interval_steps']} steps" if start.get("interval_steps") else None
    every = every or f"{start.get('interval_s') or 0:g} s"
    trainers = f"{start['trainers']} trainer{'s' if start['trainers'] != 1 else ''}"
    return (
        f"{trainers}, {start['method']}, averaged every {every}, {start['store']}, "
        f"{start['parameters']:,} parameters"
    )


def _left(tick: Tick) -> str:
    """Write the time left, to the second as clocks do."""
    parts = []
    if tick.time_left_s is not None:
        parts.append(f"averages in {_clock(tick.time_left_s)}")
    if tick.total_left_s is not None:
        parts.append(f"ends in {_clock(tick.total_left_s)}")
    return "".join(f", {part}" for part in parts)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(round(seconds), 0)))


def _metrics(score: dict) -> str:
    known = {name: value for name, value in score["metrics"].items() if value is not None}
    return ", ".join(f"{name} {value:.4f}" for name, value in known.items())


def _mean_loss(event: dict) -> str:
    """Average the loss over trainers that have one."""
    losses = [trainer["loss"] for trainer in event["trainers"] if trainer["loss"] is not None]
    return f"{sum(losses) / len(losses):.4f}" if losses else "not a number"


def _steps(event: dict) -> str:
    steps = [trainer["steps"] for trainer in event["trainers"]]
    if len(steps) <= SHOWN_TRAINERS:
        return " ".join(map(str, steps))
    return f"{min(steps)} to {max(steps)}, median {median(steps):.0f}"


def _wait(event: dict) -> str:
    longest = max(trainer["wait_s"] for trainer in event["trainers"])
    return f"waited {longest:.2f} s at most, averaged in {event['aggregate_s']:.2f} s"
