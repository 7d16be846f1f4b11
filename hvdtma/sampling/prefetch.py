"""Batches that are made ahead, in threads, while the trainer takes a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from hvdtma.core.threads import map_in_order

Item = TypeVar("Item")
Batch = TypeVar("Batch")


def prefetched(
    make: Callable[[Item], Batch], steps: Iterable[Item], workers: int
) -> Iterator[Batch]:
    """Make the batch of each step, in order, `batches_ahead(workers)` ahead of the caller.

    Every batch is a function of its step, so batches do not depend on the number of workers.

    Args:
        workers: threads; 0: each batch is made when it is asked for.
    """
    if not workers:
        return map(make, steps)
    return map_in_order(make, steps, workers, batches_ahead(workers) + 1)


def batches_ahead(workers: int) -> int:
    """The number of finished or unfinished batches, besides the one that is trained on."""
    return workers + 1 if workers else 0
