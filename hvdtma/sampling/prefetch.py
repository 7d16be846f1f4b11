"""Batches that are made and copied ahead while the trainer takes a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, Self, TypeVar

import torch

from hvdtma.core.compute_threads import use_one_thread
from hvdtma.core.threads import map_in_order
from hvdtma.core.train_config import TrainConfig

GPU_WORKERS = 4

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
    return map_in_order(make, steps, workers, batches_ahead(workers) + 1, use_one_thread)


class MovableBatch(Protocol):
    """A batch that can be copied to a device; `pin_memory` is optional."""

    def to(self, device: torch.device) -> Self: ...


Movable = TypeVar("Movable", bound=MovableBatch)


def moved_ahead(batches: Iterable[Movable], device: torch.device) -> Iterator[Movable]:
    """The batches on a device. On a GPU, a batch is copied during the step on the one before it.

    Copies run on a stream of their own, from page-locked memory if the batches have `pin_memory`.
    A copy may get the memory of an earlier batch, so it waits for the last step but one.
    """
    if device.type != "cuda":
        yield from (batch.to(device) for batch in batches)
        return
    copying, computing = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    done = computing.record_event()  # after the last step but one
    ahead: tuple[Movable, torch.cuda.Event] | None = None
    for batch in batches:
        pin = getattr(batch, "pin_memory", None)
        with torch.cuda.stream(copying):
            copying.wait_event(done)
            moved = (batch if pin is None else pin()).to(device)
            copied = copying.record_event()
        if ahead is not None:
            computing.wait_event(ahead[1])
            yield ahead[0]
            done = computing.record_event()
        ahead = moved, copied
    if ahead is not None:
        computing.wait_event(ahead[1])
        yield ahead[0]


def batch_workers(config: TrainConfig) -> int:
    """The number of threads of `sampler.workers`, or the default of the trainer's device."""
    if config.sampler.workers is not None:
        return config.sampler.workers
    on_gpu = config.device != "cpu" and torch.cuda.is_available()
    return GPU_WORKERS if on_gpu else 0


def batches_ahead(workers: int) -> int:
    """The number of finished or unfinished batches, besides the one that is trained on."""
    return workers + 1 if workers else 0
