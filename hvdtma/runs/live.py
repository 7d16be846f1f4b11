"""What rank 0 shows of a run while it goes on: one live view on a terminal, lines in a log.

The view is drawn by a thread of its own, four times a second, from what the training loop last
left here. That thread never touches a collective, and the loop never waits for a terminal: a
`tick` only keeps its arguments.
"""

from __future__ import annotations

from datetime import timedelta
from types import TracebackType
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hvdtma.core.console import console as house_console
from hvdtma.runs import event_text

REFRESH_PER_S = 4


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

    def replay(self, event: dict) -> None:
        """Take an event that was shown before, of a run that goes on."""
        match event:
            case {"kind": "start"}:
                self._start = event
            case {"kind": "round"}:
                self._round = event
            case {"kind": "score", "part": "test"}:
                self._test = event
            case {"kind": "score"}:
                self._take_score(event)

    def update(self, event: dict) -> None:
        """Take an event of metrics.jsonl; kinds that are not shown are passed over."""
        self.replay(event)
        if self._live is None and (line := event_text.line(event)):
            best = " (best)" if event is self._best else ""
            self._console.print(line + best, markup=False, soft_wrap=True)

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
        if event_text.is_number(value) and value > self._best_value:
            self._best, self._best_value = event, value

    def _metric(self, score: dict) -> str:
        """Name the metric the best is chosen by: the first one unless the run names it."""
        return self._start.get("metric") or next(iter(score["metrics"]))

    def _view(self) -> Panel:
        rows = Table.grid(padding=(0, 3))
        rows.add_column(style="dim")
        rows.add_column(overflow="fold")
        for name, text in self._rows():
            rows.add_row(name, Text(text))
        title = Text(event_text.headline(self._start) if self._start else "starting")
        return Panel(rows, title=title, title_align="left", border_style="blue", padding=(0, 2))

    def _rows(self) -> list[tuple[str, str]]:
        """List what the view shows, as far as it is known."""
        tick, last, rows = self._tick, self._round, []
        if tick:
            loss = f", loss {tick.loss:.4f}" if event_text.is_number(tick.loss) else ""
            rows += [
                ("round", f"{tick.round}{_left(tick)}"),
                ("this round", f"{tick.steps} steps{loss}"),
            ]
        if last:
            rows += [
                (
                    "last round",
                    f"{last['round']}: loss {event_text.mean_loss(last)}, {last['time_s']:.0f} s",
                ),
                ("steps", event_text.steps(last)),
                ("aggregation", event_text.wait(last)),
            ]
        if self._score:
            rows.append(
                ("validation", f"round {self._score['round']}: {event_text.metrics(self._score)}")
            )
        if self._best:
            best = f"{self._metric(self._best)} {self._best_value:.4f}"
            rows.append(("best", f"round {self._best['round']}: {best}"))
        if self._test:
            rows.append(("test", f"round {self._test['round']}: {event_text.metrics(self._test)}"))
        return rows


def _left(tick: Tick) -> str:
    """Write the time left, to the second as clocks do."""
    parts = []
    if event_text.is_number(tick.time_left_s):
        parts.append(f"averages in {_clock(tick.time_left_s)}")
    if event_text.is_number(tick.total_left_s):
        parts.append(f"ends in {_clock(tick.total_left_s)}")
    return "".join(f", {part}" for part in parts)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(round(seconds), 0)))
