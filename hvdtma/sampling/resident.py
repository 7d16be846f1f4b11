"""Training on a shard that does not fit in memory: one resident set of blocks after the other.

A sweep shuffles the shard's blocks and cuts them into sets of equal size. Each block is in one set
of a sweep, and each sweep combines blocks anew. While the trainer uses one set, a thread reads the
next one.
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
    """The resident sets of a shard, sweep after sweep without end.

    Args:
        blocks: int64 blocks of the shard.
        num_sets: number of sets in a sweep.
        load: reads the shard of the given blocks, which ascend.
        stream: seeds of the random order.
        taken: number of sets to skip, because an earlier run used them.

    Attributes:
        taken: number of sets returned or skipped so far.
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
        self._block_sets = islice(block_sets(blocks, num_sets, stream), taken, None)
        self._first = True
        self._next_shard: Future[Shard] | None = None
        self._thread = ThreadPoolExecutor(1) if num_sets > 1 else None

    def take(self) -> tuple[Shard, float]:
        """The next set, and the seconds that the caller waited for it (0 for the first set).

        The caller must have dropped its references to the previous set, to free its memory. Raises
        UserError if a block cannot be read.
        """
        self.taken += 1
        if self._thread is None:
            return self._load(next(self._block_sets)), 0.0
        start = time.monotonic()
        future = self._next_shard or self._thread.submit(self._load, next(self._block_sets))
        self._next_shard = None
        shard = future.result()
        waited_s = 0.0 if self._first else time.monotonic() - start
        self._first = False
        del future  # a finished future keeps a reference to the shard
        self._next_shard = self._thread.submit(self._load, next(self._block_sets))
        return shard, waited_s

    def close(self) -> None:
        """Stop reading ahead."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._next_shard = None


class ShardSize(NamedTuple):
    """The size of a trainer's whole shard: all its resident sets together."""

    num_nodes: int
    num_edges: int
    num_train_nodes: int


class ShardCounter:
    """Counts edges and training nodes of a shard while its resident sets are read.

    The counts are exact after a whole sweep. Until then `size` is an estimate: the counts so far,
    scaled up by nodes. A set is a random choice of the shard's blocks.

    Args:
        num_nodes: nodes of the whole shard.

    Attributes:
        counted: sum over the sets so far.
    """

    def __init__(self, num_nodes: int):
        self.num_nodes = num_nodes
        self.counted = ShardSize(0, 0, 0)

    def add(self, shard: Shard) -> None:
        """Count a set, during the first sweep."""
        if self.counted.num_nodes < self.num_nodes:
            nodes, edges, train_nodes = self.counted
            self.counted = ShardSize(
                nodes + shard.num_own,
                edges + shard.assigned_edges,
                train_nodes + shard.num_train_nodes,
            )

    @property
    def size(self) -> ShardSize:
        """Size of the whole shard, estimated until a sweep is over."""
        nodes, edges, train_nodes = self.counted
        scale = self.num_nodes / max(nodes, 1)
        return ShardSize(self.num_nodes, round(scale * edges), round(scale * train_nodes))


def block_sets(blocks: np.ndarray, num_sets: int, stream: list[int]) -> Iterator[np.ndarray]:
    """The blocks of each set, ascending; sweep after sweep without end."""
    for sweep in range(1 << 62):
        shuffled = blocks
        if num_sets > 1:
            shuffled = np.random.default_rng([*stream, 2, sweep]).permutation(blocks)
        yield from (np.sort(part) for part in np.array_split(shuffled, num_sets))
