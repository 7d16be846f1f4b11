"""A store in pieces: what goes through it once needs no more memory than a few of them.

Legend: N nodes, E edges, n nodes of a piece, e edges of it, R rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from hvdtma.core.threads import in_order, num_workers
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.pieces import EDGES_PER_PIECE, EdgePiece
from hvdtma.graph.store import GraphStore
from hvdtma.storage.array_writer import CHUNK_BYTES

NODES_PER_PIECE = 1 << 18
LEAST_EDGES = 1 << 14  # of a piece, however little memory
PIECE_BYTES = 40  # an edge of a piece: its ends as they are read, its key, the key's place


class NeighbourRows(NamedTuple):
    """Whole rows of a CSC.

    Attributes:
        first: the first row's node.
        indptr: int64 [n+1], from 0.
        indices: int32 or int64 [e], sources.
        weights: int32 [e], or empty where every edge weighs 1.
    """

    first: int
    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray


def edges_per_piece(room_bytes: int) -> int:
    """How many edges a piece may have where all workers' pieces are to fit in `room_bytes`."""
    fitting = room_bytes // ((num_workers() + 1) * PIECE_BYTES)
    return int(min(max(fitting, LEAST_EDGES), EDGES_PER_PIECE))


def edge_pieces(
    store: GraphStore, most_edges: int = EDGES_PER_PIECE
) -> Iterator[Callable[[], EdgePiece]]:
    """Every stored edge once, by destination: functions that each read a piece, in any thread."""
    for start, indptr in indptr_pieces(store):
        for first in range(int(indptr[0]), int(indptr[-1]), most_edges):
            last = min(first + most_edges, int(indptr[-1]))
            yield partial(_read_edges, store, start, indptr, first, last)


def _read_edges(
    store: GraphStore, start: int, indptr: np.ndarray, first: int, last: int
) -> EdgePiece:
    """Edges first:last; `indptr` is of the rows from `start` on, which have them."""
    low = int(np.searchsorted(indptr, first, "right")) - 1
    high = int(np.searchsorted(indptr, last, "left"))
    nodes: np.ndarray = np.arange(start + low, start + high, dtype=index_dtype(store.num_nodes))
    dst = np.repeat(nodes, np.diff(np.clip(indptr[low : high + 1], first, last)))
    types = store.read("edge_type", first, last) if "edge_type" in store else None
    return store.read("indices", first, last), dst, types


def row_pieces(
    store: GraphStore, most_edges: int = EDGES_PER_PIECE
) -> Iterator[Callable[[], NeighbourRows]]:
    """Every row once, in order; a piece is whole rows, more than `most_edges` only if it is one."""
    for start, indptr in indptr_pieces(store):
        for low, high in row_ranges(indptr, most_edges):
            yield partial(_read_rows, store, start + low, indptr[low : high + 1])


def _read_rows(store: GraphStore, first: int, indptr: np.ndarray) -> NeighbourRows:
    sources = store.read("indices", int(indptr[0]), int(indptr[-1]))
    return NeighbourRows(first, indptr - indptr[0], sources, np.zeros(0, np.int32))


def row_ranges(indptr: np.ndarray, most_edges: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that have at most `most_edges` together, or are one.

    Edges, or whatever else `indptr` adds up.
    """
    low, end = 0, len(indptr) - 1
    while low < end:
        fitting = int(np.searchsorted(indptr, indptr[low] + most_edges, "right")) - 1
        high = min(max(fitting, low + 1), end)
        yield low, high
        low = high


def indptr_pieces(store: GraphStore) -> Iterator[tuple[int, np.ndarray]]:
    """Ranges of nodes: the first of each, and its part of `indptr` [n+1]."""
    for start in range(0, store.num_nodes, NODES_PER_PIECE):
        stop = min(start + NODES_PER_PIECE, store.num_nodes)
        yield start, store.read("indptr", start, stop + 1)


def array_pieces(
    store: GraphStore, name: str, most_bytes: int = CHUNK_BYTES
) -> Iterator[np.ndarray]:
    """All rows of an array in order, in pieces of whole chunks; the next ones are read ahead."""
    array = store.array(name)
    row_bytes = max(int(array.dtype.itemsize * np.prod(array.shape[1:], dtype=np.int64)), 1)
    chunk_rows = array.chunks[0]
    step = chunk_rows * max(most_bytes // (chunk_rows * row_bytes), 1)
    ranges = range(0, array.shape[0], step)

    def read(start: int) -> np.ndarray:
        return store.read(name, start, min(start + step, array.shape[0]))

    yield from in_order(read, ranges, num_workers())
