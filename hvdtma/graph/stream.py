"""Read a store sequentially in pieces, with a few of them in memory at a time.

Legend: N nodes, E edges, n nodes of a piece, e edges of a piece, R rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.batches import EDGES_PER_BATCH, EdgeBatch
from hvdtma.graph.store import GraphStore
from hvdtma.storage.array_writer import CHUNK_BYTES

NODES_PER_PIECE = 1 << 18
LEAST_EDGES = 1 << 14  # per batch, whatever the memory
EDGE_BYTES = 40  # per edge of a batch: both ends, the key, the key's position


class NeighbourRows(NamedTuple):
    """Whole rows of a CSC.

    Attributes:
        first: the first row's node.
        indptr: int64 [n+1], from 0.
        indices: int32 or int64 [e], sources.
        weights: int32 [e]; empty if every edge has the weight 1.
    """

    first: int
    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray


def edges_per_batch(memory_bytes: int, weight_bytes: int = 0) -> int:
    """The batch size for which the batches of all workers fit in `memory_bytes`.

    Args:
        weight_bytes: the size of a weight that is sorted with its edge; 0 without weights.
    """
    weight_copies = 5 * weight_bytes  # as read, beside its key, and in a record with the key
    fitting = memory_bytes // ((num_workers() + 1) * (EDGE_BYTES + weight_copies))
    return int(min(max(fitting, LEAST_EDGES), EDGES_PER_BATCH))


def edge_batches(
    store: GraphStore, max_edges: int = EDGES_PER_BATCH, *, weights: bool = False
) -> Iterator[Callable[[], EdgeBatch]]:
    """Every stored edge once, by destination: functions that each read a batch, in any thread.

    Args:
        weights: whether to read the weights too, if the store has them.
    """
    for start, indptr in indptr_pieces(store):
        for first in range(int(indptr[0]), int(indptr[-1]), max_edges):
            last = min(first + max_edges, int(indptr[-1]))
            yield partial(_read_edges, store, start, indptr, first, last, weights)


def _read_edges(
    store: GraphStore, start: int, indptr: np.ndarray, first: int, last: int, weights: bool
) -> EdgeBatch:
    """Read edges first:last; `indptr` is that of the rows from `start` on."""
    low = int(np.searchsorted(indptr, first, "right")) - 1
    high = int(np.searchsorted(indptr, last, "left"))
    nodes: np.ndarray = np.arange(start + low, start + high, dtype=index_dtype(store.num_nodes))
    dst = np.repeat(nodes, np.diff(np.clip(indptr[low : high + 1], first, last)))
    types = store.read("edge_type", first, last) if "edge_type" in store else None
    weight = store.read("weight", first, last) if weights and "weight" in store else None
    return EdgeBatch(store.read("indices", first, last), dst, types, weight)


def row_pieces(
    store: GraphStore, max_edges: int = EDGES_PER_BATCH
) -> Iterator[Callable[[], NeighbourRows]]:
    """Every row once, in order, as functions that each read a piece.

    A piece is a range of rows with at most `max_edges` edges, or a single row.
    """
    for start, indptr in indptr_pieces(store):
        for low, high in row_ranges(indptr, max_edges):
            yield partial(_read_rows, store, start + low, indptr[low : high + 1])


def _read_rows(store: GraphStore, first: int, indptr: np.ndarray) -> NeighbourRows:
    sources = store.read("indices", int(indptr[0]), int(indptr[-1]))
    return NeighbourRows(first, indptr - indptr[0], sources, np.zeros(0, np.int32))


def row_ranges(indptr: np.ndarray, max_edges: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows with at most `max_edges` edges together, or of a single row."""
    low, end = 0, len(indptr) - 1
    while low < end:
        fitting = int(np.searchsorted(indptr, indptr[low] + max_edges, "right")) - 1
        high = min(max(fitting, low + 1), end)
        yield low, high
        low = high


def indptr_pieces(store: GraphStore) -> Iterator[tuple[int, np.ndarray]]:
    """Ranges of nodes: the first node and the range's part of `indptr` [n+1]."""
    for start in range(0, store.num_nodes, NODES_PER_PIECE):
        stop = min(start + NODES_PER_PIECE, store.num_nodes)
        yield start, store.read("indptr", start, stop + 1)


def array_pieces(
    store: GraphStore, name: str, max_bytes: int = CHUNK_BYTES
) -> Iterator[np.ndarray]:
    """All rows of an array in order, in pieces of whole chunks; the next pieces are read ahead."""
    array = store.array(name)
    row_bytes = max(int(array.dtype.itemsize * np.prod(array.shape[1:], dtype=np.int64)), 1)
    chunk_rows = array.chunks[0]
    step = chunk_rows * max(max_bytes // (chunk_rows * row_bytes), 1)
    ranges = range(0, array.shape[0], step)

    def read(start: int) -> np.ndarray:
        return store.read(name, start, min(start + step, array.shape[0]))

    yield from map_in_order(read, ranges, num_workers())
