"""A shard that does not fit in memory: one resident set after the other.

A sweep assignments the shard's blocks out into equal sets, seeded; every block is in one set of a sweep,
and from sweep to sweep any two blocks meet sooner or later. While one set is trained on, a thread
reads the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np

from hvdtma.sampling.shard import Shard


class ResidentSets:
    """The resident sets of a shard, without end; with one set, that set is given once.

    Args:
        blocks: int64 of the shard.
        num_sets: into which a sweep cuts them.
        load: reads the shard of some blocks, ascending.
        stream: seeds the order of sweeps.
        taken: sets that were given before, and are left out.

    Attributes:
        taken: sets given so far.
    """

    def __init__(
        self,
        blocks: np.ndarray,
        num_sets: int,
        load: Callable[[np.ndarray], Shard],
        stream: list[int],
        taken: int = 0,
    ):
        self.num_sets, self.taken = num_sets, taken
        self._load = load
        self._orders = islice(block_sets(blocks, num_sets, stream), taken, None)
        self._begun = False
        self._reading: Future[Shard] | None = None
        self._thread = ThreadPoolExecutor(1) if num_sets > 1 else None

    def take(self) -> tuple[Shard, float]:
        """The next set, and the seconds it was waited for; the first one is not waited for.

        What the set before it takes must have been let go of. Raises UserError if a block of it
        cannot be read.
        """
        self.taken += 1
        if self._thread is None:
            return self._load(next(self._orders)), 0.0
        start = time.monotonic()
        reading = self._reading or self._thread.submit(self._load, next(self._orders))
        self._reading = None
        shard = reading.result()
        waited_s = time.monotonic() - start if self._begun else 0.0
        self._begun = True
        del reading  # it holds the shard too
        self._reading = self._thread.submit(self._load, next(self._orders))
        return shard, waited_s

    def close(self) -> None:
        """Stop reading ahead."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._reading = None


class ShardSize(NamedTuple):
    """How much a trainer was assigned, all its resident sets together."""

    num_nodes: int
    num_edges: int
    num_train_nodes: int


class ShardCounter:
    """Counts a shard of `num_nodes` nodes by the resident sets that are taken of it.

    It is exact when a sweep is over. Until then what was counted is scaled up by nodes: a set is a
    random choice of the shard's blocks.
    """

    def __init__(self, num_nodes: int):
        self.num_nodes = num_nodes
        self.counted = ShardSize(0, 0, 0)

    def add(self, shard: Shard) -> None:
        """Count a set; those after the first sweep bring nothing new."""
        if self.counted.num_nodes < self.num_nodes:
            nodes, edges, train_nodes = self.counted
            self.counted = ShardSize(
                nodes + shard.num_own,
                edges + shard.assigned_edges,
                train_nodes + shard.num_train_nodes,
            )

    @property
    def size(self) -> ShardSize:
        """The whole shard, as far as it is known."""
        nodes, edges, train_nodes = self.counted
        scale = self.num_nodes / max(nodes, 1)
        return ShardSize(self.num_nodes, round(scale * edges), round(scale * train_nodes))


def block_sets(blocks: np.ndarray, num_sets: int, stream: list[int]) -> Iterator[np.ndarray]:
    """Ascending blocks of one set after the other, sweep after sweep."""
    for sweep in range(1 << 62):
        order = blocks
        if num_sets > 1:
            order = np.random.default_rng([*stream, 2, sweep]).permutation(blocks)
        yield from (np.sort(part) for part in np.array_split(order, num_sets))
