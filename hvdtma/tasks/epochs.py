"""Batches of shuffled examples, from any step on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

ENDLESS = 1 << 40  # epochs


def shuffled_batches(
    order_of: Callable[[int], np.ndarray],
    num_examples: int,
    batch_size: int,
    *,
    epochs: int = ENDLESS,
    first_step: int = 0,
    alone: bool = True,
) -> Iterator[tuple[int, np.ndarray]]:
    """Each step's number and examples.

    Args:
        order_of: the examples of an epoch, shuffled.
        num_examples: of an epoch.
        first_step: to begin with; those before it cost nothing.
        alone: whether a last batch of a single example is given, too.
    """
    full, rest = divmod(num_examples, batch_size)
    per_epoch = full + (rest > 1 or (rest == 1 and (alone or not full)))
    at, order = -1, np.empty(0)
    for step in range(first_step, per_epoch * epochs):
        epoch, place = divmod(step, per_epoch)
        if epoch != at:
            at, order = epoch, order_of(epoch)
        yield step, order[place * batch_size : (place + 1) * batch_size]
