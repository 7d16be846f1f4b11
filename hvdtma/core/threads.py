"""Work on many pieces with a few threads, in order and with few pieces in memory at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def num_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], workers: int
) -> Iterator[Result]:
    """`work` of every piece, in the pieces' order.

    At most `workers` pieces are worked on or wait to be taken, beside the one that was given out.
    What a piece raises is raised here, in its turn.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for piece in pieces:
                if len(waiting) >= workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, piece))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
