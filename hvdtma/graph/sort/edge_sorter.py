"""Sorting edges into the rows of a CSC within a memory limit: scatter to buckets, sort each.

Two passes over the edges, whatever their number: one that gives each edge to the bucket of its
destination (8 bytes an edge on disk, once they no longer fit in memory), one that sorts a bucket
at a time and merges what stands there twice. Both use all cores.

Legend: E edges, N nodes, B buckets, H held-out pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hvdtma.core.threads import in_order, num_workers
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.buckets import Buckets
from hvdtma.graph.sort.keys import KeyLayout, SortedRows, group_edges, rows_of_keys
from hvdtma.graph.sort.pieces import EdgePiece

KEY_BYTES = 8
SORT_BYTES = 24  # per edge of a bucket while it is sorted and decoded
MAX_BUCKETS = 512  # files that are appended to


@dataclass(frozen=True)
class HeldOut:
    """Pairs that are taken out of the training graph, in the CSC's numbering.

    Attributes:
        src, dst: int64 [H]; both directions of a pair are taken out.
        marked_N: bool [N] nodes whose edges are also to be listed, or empty.
    """

    src: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    dst: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    marked_N: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


@dataclass
class EdgeSorter:
    """Takes edges in any order and gives back the rows of their CSC.

    Attributes:
        num_nodes: N.
        num_edges: E as they come, mirrored ones twice; more is allowed, less wastes buckets.
        folder: for what does not fit in memory.
        memory_bytes: for keys and their sorting.
        num_types: of edge types, 0 without.
        mirror: an edge stands for both directions.
        rank_N: a node's number in the CSC; empty where nodes keep theirs.
        merge_types: parallel edges of different types are one, of the lowest type.
        keep_repeats: an edge that comes twice stays twice.
    """

    num_nodes: int
    num_edges: int
    folder: Path
    memory_bytes: int
    num_types: int = 0
    mirror: bool = False
    rank_N: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    merge_types: bool = False
    keep_repeats: bool = False
    self_loops: int = 0
    duplicates: int = 0

    def __post_init__(self) -> None:
        self.workers = num_workers()
        fitting = max(1, self.memory_bytes // 2 // self.in_flight_bytes())  # keys of a bucket
        wanted = min(max(-(-2 * self.num_edges // fitting), 1), MAX_BUCKETS)
        shift = max(-(-self.num_nodes // wanted) - 1, 0).bit_length()
        self.layout = KeyLayout.of(self.num_nodes, self.num_types, shift)
        self.bucket_nodes = 1 << shift
        num_buckets = -(-self.num_nodes // self.bucket_nodes)
        self.buckets = Buckets(self.folder, num_buckets, self.bytes_of_keys(self.memory_bytes))

    @staticmethod
    def bytes_of_keys(memory_bytes: int) -> int:
        """Of `memory_bytes`, those for keys that wait; more of them go to files."""
        return memory_bytes // 2

    @staticmethod
    def in_flight_bytes() -> int:
        """MemoryBudget for each key that the largest bucket may hold, as all workers sort one."""
        return (num_workers() + 1) * SORT_BYTES

    @classmethod
    def least_bytes(cls, num_edges: int) -> int:
        """The least `memory_bytes` in which so many edges can be sorted."""
        return 2 * cls.in_flight_bytes() * (2 * num_edges // MAX_BUCKETS)

    def scatter(
        self,
        pieces: Iterable[Callable[[], EdgePiece]],
        look: Callable[[np.ndarray, np.ndarray], object] = lambda *_: None,
        tell: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Take edges, given as functions that make a piece of them, in threads.

        Args:
            look: called with every piece's src and dst, in the numbering they came in.
            tell: called with the number of edges of every piece that is done, in order.
        """

        def group(make: Callable[[], EdgePiece]) -> tuple[int, int]:
            src, dst, types = make()
            look(src, dst)
            none = np.zeros(0, np.int16)
            keys, start_B, loops = group_edges(
                src,
                dst,
                none if types is None else types,
                self.rank_N,
                len(self.buckets),
                self.layout.shift,
                self.layout.src_bits,
                self.layout.type_bits,
                self.mirror,
            )
            self.buckets.add(keys, start_B)
            return len(src), loops

        for num_edges, loops in in_order(group, pieces, self.workers):
            self.self_loops += loops
            tell(num_edges)

    def rows(self, held_out: HeldOut | None = None) -> Iterator[tuple[int, SortedRows]]:
        """Each bucket's first node and its rows, in order; to be gone through once."""
        held_by_bucket = self._held_by_bucket(held_out or HeldOut())
        marked_N = (held_out or HeldOut()).marked_N

        def sort(bucket: int) -> tuple[int, SortedRows]:
            first = bucket * self.bucket_nodes
            num_rows = min(self.bucket_nodes, self.num_nodes - first)
            keys = self.buckets.take(bucket)
            keys.sort()
            held_H, pair_H = held_by_bucket[bucket]
            typed = len(keys) if self.num_types else 0
            found = rows_of_keys(
                keys,
                num_rows,
                self.layout.src_bits,
                self.layout.type_bits,
                self.merge_types,
                self.keep_repeats,
                held_H,
                pair_H,
                marked_N,
                np.empty(len(keys), index_dtype(self.num_nodes)),
                np.empty(typed, np.int16),
            )
            return first, SortedRows(*found)

        for first, rows in in_order(sort, range(len(self.buckets)), self.workers):
            self.duplicates += rows.duplicates
            yield first, rows

    def _held_by_bucket(self, held_out: HeldOut) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each bucket: the keys of held-out pairs, both ways, ascending; and their numbers."""
        src = np.concatenate([held_out.src, held_out.dst])
        dst = np.concatenate([held_out.dst, held_out.src])
        pair = np.tile(np.arange(len(held_out.src)), 2)
        keys = self.layout.keys(src, dst & (self.bucket_nodes - 1))
        bucket = dst >> self.layout.shift
        order = np.lexsort((pair, keys, bucket))  # a pair given twice counts as its first
        cuts = np.searchsorted(bucket[order], np.arange(1, len(self.buckets)))
        return list(zip(np.split(keys[order], cuts), np.split(pair[order], cuts), strict=True))
