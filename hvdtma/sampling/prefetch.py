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
    make: Callable[[Item], Batch], steps: Iterable[Item], config: TrainConfig
) -> Iterator[Batch]:
    """Make the batch of each step, in order, `batches_ahead` of the workers ahead of the caller.

    Every batch is a function of its step, so batches do not depend on the number of workers. Where
    the trainer has a GPU, the threads that make batches also put them into page-locked memory:
    that is a copy of a whole batch, which the trainer's own thread would wait for.
    """

    def make_pinned(step: Item) -> Batch:
        batch = make(step)
        pin = getattr(batch, "pin_memory", None)
        return batch if pin is None else pin()

    make_ready = make_pinned if has_gpu(config) else make
    workers = batch_workers(config)
    if not workers:
        return map(make_ready, steps)
    return map_in_order(make_ready, steps, workers, batches_ahead(workers) + 1, use_one_thread)


class MovableBatch(Protocol):
    """A batch that can be copied to a device."""

    def to(self, device: torch.device) -> Self: ...


Movable = TypeVar("Movable", bound=MovableBatch)


def copy_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream for `moved_ahead`; None for a device that is no GPU.

    A trainer needs one for all of its batches: PyTorch keeps freed memory for the stream that it
    was given to, so that each further stream would take memory of its own.
    """
    return torch.cuda.Stream(device) if device.type == "cuda" else None


def moved_ahead(
    batches: Iterable[Movable], device: torch.device, copying: torch.cuda.Stream | None
) -> Iterator[Movable]:
    """The batches on a device. On a GPU, a batch is copied during the step on the one before it.

    A copy may get the memory of an earlier batch, so it waits for the last step but one. The copy
    overlaps with the step only if the batch is in page-locked memory (`prefetched`), and if its
    `to` copies every tensor with `non_blocking`.

    Args:
        copying: the device's `copy_stream`.
    """
    if copying is None:
        yield from (batch.to(device) for batch in batches)
        return
    computing = torch.cuda.current_stream(device)
    done = computing.record_event()  # after the last step but one
    ahead: tuple[Movable, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            copying.wait_event(done)
            moved = batch.to(device)
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
    return GPU_WORKERS if has_gpu(config) else 0


def has_gpu(config: TrainConfig) -> bool:
    """Whether a trainer of this machine has a GPU."""
    return config.device != "cpu" and torch.cuda.is_available()


def batches_ahead(workers: int) -> int:
    """The number of finished or unfinished batches, besides the one that is trained on."""
    return workers + 1 if workers else 0
