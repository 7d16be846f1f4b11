"""Sort edges into the rows of a CSC within a memory limit.

Two passes over the edges, whatever their number. The first scatters edges to the buckets of their
destinations, in files of 8 bytes per edge if they do not fit in memory. The second sorts the
buckets one by one and merges repeated edges. Both use all cores. A weight takes 4 bytes more per
edge, a time 8.

Legend: E edges, N nodes, B buckets, H held-out pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.batches import EdgeBatch, LazyEdgeBatch, materialize
from hvdtma.graph.sort.buckets import Buckets, keyed_dtype
from hvdtma.graph.sort.keys import (
    KeyLayout,
    SortedRows,
    group_edges,
    merge_weights,
    rows_of_keys,
)

KEY_BYTES = 8
SORT_BYTES = 24  # per edge of a bucket that is sorted and decoded
ORDER_BYTES = 16  # per edge of a bucket with values: the order of the keys, and a copy of them
MAX_BUCKETS = 512  # open files
VALUE_DTYPES = {"weight": np.float32, "time": np.int64}


@dataclass(frozen=True)
class HeldOut:
    """Pairs to remove from the training graph, in the CSC's node numbers.

    Attributes:
        src, dst: int64 [H]; both directions of a pair are removed.
        marked_N: bool [N], the nodes whose out-edges are to be listed as known; or empty.
    """

    src: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    dst: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    marked_N: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


@dataclass
class EdgeSorter:
    """Takes edges in any order and returns the rows of their CSC.

    Attributes:
        num_nodes: N.
        num_edges: about E, mirrored edges twice; determines the number of buckets.
        folder: for the files of the buckets.
        memory_bytes: the memory for keys and for sorting.
        num_types: the number of edge types; 0 for edges without types.
        mirror: whether an edge stands for both directions.
        rank_N: the number of each node in the CSC; empty if it does not change.
        merge_types: whether to merge parallel edges of different types, into the lowest type.
        keep_repeats: whether to keep repeated edges.
        value: the field of a batch that goes with each edge: `weight`, `time` or None. `rows` adds
            up the weights of merged edges; times are for `sorted_keys`.
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
    value: str | None = None
    self_loops: int = 0
    duplicates: int = 0

    def __post_init__(self) -> None:
        self.workers = num_workers()
        in_flight = self.in_flight_bytes(value_bytes(self.value))
        max_keys = max(1, self.memory_bytes // 2 // in_flight)  # of a bucket
        target = min(max(-(-2 * self.num_edges // max_keys), 1), MAX_BUCKETS)  # buckets
        shift = max(-(-self.num_nodes // target) - 1, 0).bit_length()
        self.layout = KeyLayout.of(self.num_nodes, self.num_types, shift)
        self.bucket_nodes = 1 << shift
        num_buckets = -(-self.num_nodes // self.bucket_nodes)
        dtype = keyed_dtype(VALUE_DTYPES[self.value]) if self.value else np.dtype(np.uint64)
        limit_bytes = self.bytes_of_keys(self.memory_bytes)
        self.buckets = Buckets(self.folder, num_buckets, limit_bytes, dtype)

    @staticmethod
    def bytes_of_keys(memory_bytes: int) -> int:
        """The share of `memory_bytes` for keys in memory; more keys go to files."""
        return memory_bytes // 2

    @staticmethod
    def in_flight_bytes(value_bytes: int = 0) -> int:
        """The memory per key of the largest bucket, as every worker sorts a bucket."""
        values = 3 * value_bytes + ORDER_BYTES if value_bytes else 0
        return (num_workers() + 1) * (SORT_BYTES + values)

    @classmethod
    def least_bytes(cls, num_edges: int, value_bytes: int = 0) -> int:
        """The least `memory_bytes` for sorting `num_edges` edges."""
        return 2 * cls.in_flight_bytes(value_bytes) * (2 * num_edges // MAX_BUCKETS)

    def scatter(
        self,
        batches: Iterable[LazyEdgeBatch],
        on_batch: Callable[[np.ndarray, np.ndarray], object] = lambda *_: None,
        advance: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Scatter edges to buckets, in threads.

        Args:
            on_batch: called in a thread with the src and dst of each batch, as they were given.
            advance: called with the number of edges of each completed batch.
        """

        def group(batch: LazyEdgeBatch) -> tuple[int, int]:
            edges = materialize(batch)
            on_batch(edges.src, edges.dst)
            keys, values, start_B, loops = group_edges(
                edges.src,
                edges.dst,
                np.zeros(0, np.int16) if edges.types is None else edges.types,
                self._values(edges),
                self.rank_N,
                len(self.buckets),
                self.layout.shift,
                self.layout.src_bits,
                self.layout.type_bits,
                self.mirror,
            )
            self.buckets.add(self._as_rows(keys, values), start_B)
            return len(edges.src), loops

        for num_edges, loops in map_in_order(group, batches, self.workers):
            self.self_loops += loops
            advance(num_edges)

    def edges_from(self, marked_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The distinct edges that begin at marked nodes: src, dst int64 and types int16.

        In the CSC's node numbers, before `rows`. Edges of several types are merged if the sorter
        merges them.
        """
        width, source_width = np.uint64(self.layout.type_bits), np.uint64(self.layout.src_bits)
        source_mask = (np.uint64(1) << source_width) - np.uint64(1)
        type_mask = (np.uint64(1) << width) - np.uint64(1)

        def find(bucket: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            rows = self.buckets.rows(bucket)
            keys = rows["key"] if self.value else rows
            keys = np.unique(keys[marked_N[(keys >> width) & source_mask]])
            pairs = keys >> width
            if self.merge_types:
                keys = keys[np.unique(pairs, return_index=True)[1]]  # the lowest type comes first
                pairs = keys >> width
            src = (pairs & source_mask).astype(np.int64)
            dst = (pairs >> source_width).astype(np.int64) + bucket * self.bucket_nodes
            return src, dst, (keys & type_mask).astype(np.int16)

        found = list(map_in_order(find, range(len(self.buckets)), self.workers))
        src, dst, types = map(np.concatenate, zip(*found, strict=True))
        return src, dst, types

    def rows(self, held_out: HeldOut | None = None) -> Iterator[tuple[int, SortedRows]]:
        """Yield each bucket's first node and its rows, in order; possible once."""
        held_out_by_bucket = self._held_out_by_bucket(held_out or HeldOut())
        marked_N = (held_out or HeldOut()).marked_N

        def sort(bucket: int) -> tuple[int, SortedRows]:
            first = bucket * self.bucket_nodes
            num_rows = min(self.bucket_nodes, self.num_nodes - first)
            keys, weights = self.sorted_keys(bucket)
            merged = 0
            if self.value:
                kept = merge_weights(
                    keys, weights, self.layout.type_bits, self.merge_types, self.keep_repeats
                )
                merged = len(keys) - kept
                keys, weights = keys[:kept], weights[:kept]
                _check_sums(weights)
            key_H, pair_H = held_out_by_bucket[bucket]
            typed = len(keys) if self.num_types else 0
            found = rows_of_keys(
                keys,
                weights,
                num_rows,
                self.layout.src_bits,
                self.layout.type_bits,
                self.merge_types,
                self.keep_repeats or bool(self.value),  # with weights, repeats are merged by now
                key_H,
                pair_H,
                marked_N,
                np.empty(len(keys), index_dtype(self.num_nodes)),
                np.empty(typed, np.int16),
            )
            rows = SortedRows(*found)
            return first, rows._replace(duplicates=rows.duplicates + merged)

        for first, rows in map_in_order(sort, range(len(self.buckets)), self.workers):
            self.duplicates += rows.duplicates
            yield first, rows

    def sorted_keys(self, bucket: int) -> tuple[np.ndarray, np.ndarray]:
        """The ascending keys of a bucket and their values (empty without); possible once.

        The values of equal keys are in any order.
        """
        rows = self.buckets.take(bucket)
        if self.value is None:
            rows.sort()
            return rows, np.zeros(0, np.float32)
        order = np.argsort(rows["key"])
        return rows["key"][order], rows["value"][order]

    def _values(self, edges: EdgeBatch) -> np.ndarray:
        """The values of a batch, as they are kept beside the keys; empty without values."""
        if self.value is None:
            return np.zeros(0, np.float32)
        return getattr(edges, self.value).astype(VALUE_DTYPES[self.value], copy=False)

    def _as_rows(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The rows of the buckets: the keys, or records of a key and its value."""
        if self.value is None:
            return keys
        rows = np.empty(len(keys), self.buckets.dtype)
        rows["key"], rows["value"] = keys, values
        return rows

    def _held_out_by_bucket(self, held_out: HeldOut) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each bucket the keys of held-out pairs, ascending, and the numbers of the pairs."""
        src = np.concatenate([held_out.src, held_out.dst])
        dst = np.concatenate([held_out.dst, held_out.src])
        pair = np.tile(np.arange(len(held_out.src)), 2)
        keys = self.layout.keys(src, dst & (self.bucket_nodes - 1))
        bucket = dst >> self.layout.shift
        order = np.lexsort((pair, keys, bucket))  # the first of repeated pairs counts
        cuts = np.searchsorted(bucket[order], np.arange(1, len(self.buckets)))
        return list(zip(np.split(keys[order], cuts), np.split(pair[order], cuts), strict=True))


def value_bytes(value: str | None) -> int:
    """The size of a value beside a key: that of `EdgeSorter.value`."""
    return np.dtype(VALUE_DTYPES[value]).itemsize if value else 0


def _check_sums(weights: np.ndarray) -> None:
    if not np.isfinite(weights).all():
        raise UserError(
            "the weights of a repeated edge add up to more than single precision holds "
            f"({np.finfo(np.float32).max:.2g}); give smaller weights, such as all of them divided "
            "by the largest"
        )
