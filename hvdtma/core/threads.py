"""Parallel work in threads, with results in order and few items in memory at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_workers() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    ahead: int | None = None,
    begin_thread: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items.

    Besides the result that the caller holds, at most `ahead` items (None: `workers`) are in work or
    wait to be yielded. An exception for an item is raised when its result is due. Each thread calls
    `begin_thread` first.
    """
    ahead = ahead or workers
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, initializer=begin_thread) as pool:
        try:
            for item in items:
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
