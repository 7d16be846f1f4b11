"""What a person sees while something runs: on a terminal live, in a log as plain lines."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 30.0

console = Console(stderr=True, highlight=False)


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Say what is being done; and, when it is done, how long it took."""
    start = time.monotonic()
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        yield
    console.print(f"{what}: {time.monotonic() - start:.1f} s{_peak()}", style="dim")


@contextmanager
def quietly() -> Iterator[None]:
    """Say nothing of what is done inside."""
    was = console.quiet
    console.quiet = True
    try:
        yield
    finally:
        console.quiet = was


@contextmanager
def progress(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Say how far something is, its rate and the time left; gives what to call after each piece.

    In a log, a line every half a minute. `total` may not be known.
    """
    start = last_said = time.monotonic()
    done = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=total)

        def advance(number: int) -> None:
            nonlocal done, last_said
            done += number
            bar.advance(task, number)
            now = time.monotonic()
            if not console.is_terminal and now - last_said > LINE_EVERY_S:
                last_said, rate = now, done / (now - start)
                left = f", {max(total - done, 0) / max(rate, 1e-9):.0f} s left" if total else ""
                console.print(f"{what}: {done:,} {unit}, {rate:,.0f} {unit}/s{left}", style="dim")

        yield advance
    seconds = time.monotonic() - start
    rate = f"{done / max(seconds, 1e-9):,.0f} {unit}/s"
    console.print(
        f"{what}: {seconds:.1f} s, {done:,} {unit}, {rate}{_peak()}", style="dim", soft_wrap=True
    )


def _peak() -> str:
    """The most memory that this process has held so far."""
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"; memory {gib:.2f} GiB at most"
