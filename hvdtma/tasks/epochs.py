"""Batches of shuffled examples, starting at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

ENDLESS = 1 << 40  # epochs


def shuffled_batches(
    shuffled: Callable[[int], np.ndarray],
    num_examples: int,
    batch_size: int,
    *,
    epochs: int = ENDLESS,
    first_step: int = 0,
    keep_single: bool = True,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and the examples of each step.

    Args:
        shuffled: returns the shuffled examples of an epoch, given its number.
        num_examples: examples per epoch.
        first_step: step to start at; earlier steps cost no time.
        keep_single: whether an epoch's last batch may have a single example. An epoch of one
            example always yields it.
    """
    full, rest = divmod(num_examples, batch_size)
    steps_per_epoch = full + (rest > 1 or (rest == 1 and (keep_single or not full)))
    current_epoch, examples = -1, np.empty(0)
    for step in range(first_step, steps_per_epoch * epochs):
        epoch, batch = divmod(step, steps_per_epoch)
        if epoch != current_epoch:
            current_epoch, examples = epoch, shuffled(epoch)
        yield step, examples[batch * batch_size : (batch + 1) * batch_size]
