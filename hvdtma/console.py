"""What a person sees while something runs: on a terminal live, in a log as plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
    console.print(f"{what}: {time.monotonic() - start:.1f} s", style="dim")


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

    Where the total is not known there is no time left either.
    """
    start, done = time.monotonic(), 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=total)

        def advance(number: int) -> None:
            nonlocal done
            done += number
            bar.advance(task, number)

        yield advance
    seconds = time.monotonic() - start
    rate = f"{done / max(seconds, 1e-9):,.0f} {unit}/s"
    console.print(f"{what}: {seconds:.1f} s, {done:,} {unit}, {rate}", style="dim")
