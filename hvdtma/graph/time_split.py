"""Hold out links by time, so that no message comes from a later time than the link it scores.

A link is an unordered pair, and its time is that of its first edge. The latest pairs are for test,
those before them for validation. A later edge of an earlier pair would tell of the future: it is
dropped. So all edges of the training graph are earlier than the validation links, and these are
earlier than the test links.

Two passes over the edges. The first sorts pairs with their times on disk, 16 bytes per edge, to
find the first time of each pair and with these the cuts. Only held-out pairs are kept in memory.
The second pass, in `hvdtma.graph.builder.edges`, leaves out the dropped edges.

Legend: N nodes, E edges, H held-out pairs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.threads import map_in_order
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.hashing import pair_hashes
from hvdtma.graph.sort.batches import EdgeBatch
from hvdtma.graph.sort.edge_sorter import EdgeSorter
from hvdtma.graph.source import Pairs
from hvdtma.graph.splits import pair_key
from hvdtma.graph.time_cuts import TimeCuts, time_cuts

PAIRS_AT_ONCE = 1 << 18


@dataclass
class LinksByTime:
    """The held-out pairs of a split by time.

    Attributes:
        num_nodes: N.
        pairs: in the order of their times; the source of a pair is one of its ends at random.
        part_H: 0 for valid, 1 for test.
        cuts: the times of the cuts.
        directed: whether the other direction of a pair is another edge.
        num_dropped: the number of later edges of earlier pairs that `kept` has left out.
    """

    num_nodes: int
    pairs: Pairs
    part_H: np.ndarray
    cuts: TimeCuts
    directed: bool
    num_dropped: int = 0
    known: list[Pairs] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        key_H = pair_key(self.pairs.src, self.pairs.dst, self.num_nodes)
        order_H = np.argsort(key_H)
        self.key_H, self.sorted_part_H = key_H[order_H], self.part_H[order_H]
        self.ends = np.unique(np.r_[self.pairs.src, self.pairs.dst])

    def kept(self, batches: Iterable[Callable[[], EdgeBatch]]) -> Iterator[Callable[[], EdgeBatch]]:
        """The batches without later edges of earlier pairs."""
        for batch in batches:
            yield partial(self._kept, batch)

    def dropped_edges(self) -> Pairs:
        """The dropped edges of a directed graph that begin at an end of a held-out pair.

        They are in no part, but they are known links, which no negative may be.
        """
        none = np.zeros(0, np.int64)
        src = np.concatenate([none, *(pairs.src for pairs in self.known)])
        return Pairs(src, np.concatenate([none, *(pairs.dst for pairs in self.known)]))

    def _kept(self, batch: Callable[[], EdgeBatch]) -> EdgeBatch:
        edges = batch()
        assert edges.time is not None  # `checked_batches` has checked it
        part_E = self.cuts.parts(edges.time)
        late = np.flatnonzero((part_E > 0) & (edges.src != edges.dst))
        src, dst = edges.src[late], edges.dst[late]
        stale = self._part_of(src, dst) < part_E[late]
        if not stale.any():
            return edges
        self._count(src[stale], dst[stale])
        kept_E = np.ones(len(edges.src), bool)
        kept_E[late[stale]] = False
        return edges.take(kept_E)

    def _part_of(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """The part of each pair: 0 train, 1 valid, 2 test."""
        key = pair_key(src, dst, self.num_nodes)
        at = np.searchsorted(self.key_H, key)
        at[at == len(self.key_H)] = 0
        return np.where(self.key_H[at] == key, self.sorted_part_H[at] + 1, 0)

    def _count(self, src: np.ndarray, dst: np.ndarray) -> None:
        known = np.isin(src, self.ends) & self.directed
        with self.lock:
            self.num_dropped += len(src)
            if known.any():
                self.known.append(Pairs(src[known], dst[known]))


def links_by_time(
    batches: Iterable[Callable[[], EdgeBatch]],
    num_nodes: int,
    num_edges: int,
    *,
    valid: float,
    test: float,
    seed: int,
    directed: bool,
    max_pairs: int,
    folder: Path,
    memory_bytes: int,
    advance: Callable[[int], object] = lambda _: None,
) -> LinksByTime:
    """Choose the links to hold out by time, in one pass over the edges.

    Args:
        batches: every edge with its time.
        valid, test: a share of the pairs if below 1, else a count.
        seed: determines which end of a pair is its source.
        max_pairs: the number of held-out pairs that fit in memory.
        folder: for files, which are deleted again.
        memory_bytes: the memory to sort in.

    Raises UserError if a part would be empty, if nothing is left for training, and if more pairs
    would be held out than fit in memory.
    """
    sorter = EdgeSorter(num_nodes, num_edges, folder / "keys", memory_bytes, value="time")
    sorter.scatter((partial(_ascending, batch) for batch in batches), advance=advance)
    times = _PairTimes(folder, np.dtype(index_dtype(num_nodes)))
    for src, dst, time in map_in_order(
        partial(_first_times, sorter), range(len(sorter.buckets)), sorter.workers
    ):
        times.add(src, dst, time)
    cuts = time_cuts(times.pieces, valid, test, "links")
    number = cuts.num_valid + cuts.num_test
    if number > max_pairs:
        raise UserError(
            f"{number:,} links would be held out; {max_pairs:,} fit in memory. Give --valid and "
            "--test as counts, such as 10000, or a larger --memory-gb"
        )
    low, high, time = times.since(cuts.valid_from)
    times.remove()
    hash_H = pair_hashes(low, high, seed)
    order = np.lexsort((hash_H, time))
    low, high, turned = low[order], high[order], hash_H[order] & np.uint64(1) == 1
    pairs = Pairs(np.where(turned, high, low), np.where(turned, low, high))
    return LinksByTime(num_nodes, pairs, cuts.parts(time[order]) - 1, cuts, directed)


def _ascending(batch: Callable[[], EdgeBatch]) -> EdgeBatch:
    """The edges of a batch from the lower to the higher end."""
    edges = batch()
    low, high = np.minimum(edges.src, edges.dst), np.maximum(edges.src, edges.dst)
    return EdgeBatch(low, high, time=edges.time)


def _first_times(sorter: EdgeSorter, bucket: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of a bucket and the first time of each."""
    key, time = sorter.sorted_keys(bucket)
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    start = np.flatnonzero(first)
    if not len(start):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    src, dst = sorter.layout.ends(key[start])
    return src, dst + bucket * sorter.bucket_nodes, np.minimum.reduceat(time, start)


@dataclass
class _PairTimes:
    """Pairs and their times in files."""

    folder: Path
    dtype: np.dtype

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files = [self.folder / name for name in ("low", "high", "time")]
        self.dtypes = [self.dtype, self.dtype, np.dtype(np.int64)]
        for file in self.files:
            file.write_bytes(b"")
        self.num = 0

    def add(self, *columns: np.ndarray) -> None:
        """Append pairs: low, high and time."""
        for file, dtype, values in zip(self.files, self.dtypes, columns, strict=True):
            with file.open("ab") as out:
                out.write(np.ascontiguousarray(values, dtype).view(np.uint8).data)
        self.num += len(columns[0])

    def pieces(self) -> Iterator[np.ndarray]:
        """The times of all pairs."""
        for start in range(0, self.num, PAIRS_AT_ONCE):
            yield self._read(2, start)

    def since(self, time: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs with this time or a later one: low, high int64 and time."""
        found = [(np.zeros(0, np.int64),) * 3]
        for start in range(0, self.num, PAIRS_AT_ONCE):
            time_n = self._read(2, start)
            late = np.flatnonzero(time_n >= time)
            if len(late):
                low, high = (self._read(column, start)[late].astype(np.int64) for column in (0, 1))
                found.append((low, high, time_n[late]))
        low, high, time_H = (np.concatenate(column) for column in zip(*found, strict=True))
        return low, high, time_H

    def remove(self) -> None:
        """Delete the files."""
        for file in self.files:
            file.unlink()

    def _read(self, column: int, start: int) -> np.ndarray:
        dtype = self.dtypes[column]
        return np.fromfile(self.files[column], dtype, PAIRS_AT_ONCE, offset=start * dtype.itemsize)
