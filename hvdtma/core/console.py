"""Console output: live on a terminal, plain lines in a log."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0

WIDE = 200  # columns of tables in a file or a pipe

console = Console(stderr=True, highlight=False)


def on_terminal(of: Console = console) -> bool:
    """Whether live output can be drawn.

    `Console.is_terminal` alone is not enough: FORCE_COLOR makes it true for a file as well.
    """
    return of.is_terminal and not of.is_dumb_terminal and of.file.isatty()


def results() -> Console:
    """A console for results on stdout; outside of a terminal, tables are not wrapped to 80."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=WIDE)


def warn(message: str) -> None:
    """Print a warning; the message is no markup."""
    console.print(escape(message), style="yellow", soft_wrap=True)


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Print the title of a stage with the time it took, once it is done."""
    start = time.monotonic()
    if on_terminal():
        with console.status(title):
            yield
    else:
        yield
    console.print(f"{title}: {time.monotonic() - start:.1f} s{_peak()}", style="dim")


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress console output inside the block."""
    was = console.quiet
    console.quiet = True
    try:
        yield
    finally:
        console.quiet = was


@contextmanager
def progress(title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Show the progress of a stage, its rate and the time left.

    Yields a function to call with the number of units after each piece. In a log, progress is a
    line every `LINE_EVERY_S`. Without a `total`, no time left is shown.
    """
    start = last_line = time.monotonic()
    done = 0
    live = on_terminal()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not live, transient=True
    ) as bar:
        task = bar.add_task(title, total=total)

        def advance(number: int) -> None:
            nonlocal done, last_line
            done += number
            bar.advance(task, number)
            now = time.monotonic()
            if not live and now - last_line > LINE_EVERY_S:
                last_line, rate = now, done / (now - start)
                left = f", {max(total - done, 0) / max(rate, 1e-9):.0f} s left" if total else ""
                console.print(f"{title}: {done:,} {unit}, {rate:,.0f} {unit}/s{left}", style="dim")

        yield advance
    seconds = time.monotonic() - start
    rate = f"{done / max(seconds, 1e-9):,.0f} {unit}/s"
    console.print(
        f"{title}: {seconds:.1f} s, {done:,} {unit}, {rate}{_peak()}", style="dim", soft_wrap=True
    )


class LineLimit:
    """Limits the lines of a log to one every `every_s` seconds on average.

    An urgent line may come early, and delays the next one instead: two lines in a row are
    possible, three are not.
    """

    def __init__(self, every_s: float = LINE_EVERY_S, clock: Callable[[], float] = time.monotonic):
        self.every_s, self._clock = every_s, clock
        self._next_s = clock()

    def allows(self, *, urgent: bool = False) -> bool:
        """Whether a line may be printed now; if so, it counts as printed."""
        now = self._clock()
        if now < self._next_s - (self.every_s if urgent else 0):
            return False
        self._next_s = max(now, self._next_s) + self.every_s
        return True


def _peak() -> str:
    """The peak memory of this process."""
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"; memory {gib:.2f} GiB at most"
