"""The view of a run on a terminal: one panel that is kept up to date.

A thread of Rich's draws it four times a second from the arguments of the last call. That thread
never touches a collective, and the training loop never waits for the terminal.
"""

from __future__ import annotations

import time
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hvdtma.core.console import console as house_console
from hvdtma.core.console import on_terminal
from hvdtma.runs import event_text
from hvdtma.runs.log_view import LogView
from hvdtma.runs.view import RunView, Tick


def open_view(console: Console = house_console) -> RunView:
    """The view of a run that fits the console."""
    return LiveView(console) if on_terminal(console) else LogView(console)


class LiveView(RunView):
    """Shows a run on a terminal; leaving it, by Ctrl-C too, gives the terminal back as it was."""

    def __init__(self, console: Console = house_console):
        super().__init__()
        self._tick: Tick | None = None
        self._phase, self._phase_began_s = "", 0.0
        self._live = Live(get_renderable=self._panel, console=console, refresh_per_second=4)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._tick, self._phase = None, ""
        self._live.stop()

    def tick(self, tick: Tick) -> None:
        self._tick = tick

    def phase(self, text: str) -> None:
        self._tick, self._phase, self._phase_began_s = None, text, time.monotonic()

    def _panel(self) -> Panel:
        rows = Table.grid(padding=(0, 3))
        rows.add_column(style="dim")
        rows.add_column(overflow="fold")
        for name, text in self._rows().items():
            rows.add_row(name, Text(text))
        title = Text(event_text.headline(self.start) if self.start else "starting")
        return Panel(rows, title=title, title_align="left", border_style="blue", padding=(0, 2))

    def _rows(self) -> dict[str, str]:
        """The rows of the panel, as far as they are known."""
        tick, rows = self._tick, {}
        if tick:
            rows["this round"] = _this_round(tick)
        elif self._phase:
            rows["now"] = f"{self._phase}, {_clock(time.monotonic() - self._phase_began_s)}"
        if self.round:
            rows["last round"] = event_text.rounds([self.round])
        if self.valid:
            rows["validation"] = event_text.score(self.valid)
        if self.best:
            rows["best"] = self.best_text
        if self.test:
            rows["test"] = event_text.score(self.test)
        return rows


def _this_round(tick: Tick) -> str:
    parts = [f"round {tick.round}: {tick.steps} steps"]
    if event_text.is_number(tick.loss):
        parts.append(f"loss {tick.loss:.4f}")
    if event_text.is_number(tick.time_left_s):
        parts.append(f"averages in {_clock(tick.time_left_s)}")
    if event_text.is_number(tick.total_left_s):
        parts.append(f"ends in {_clock(tick.total_left_s)}")
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(round(seconds), 0)))
