"""The edges of one type, read from the edges of all types in pieces.

Legend: N nodes, n nodes of a piece, R edge types, e edges of a type, D destinations of the type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.typed.layout import NodeLayout

ROWS_AT_ONCE = 1 << 17
EDGES_AT_ONCE = 1 << 20

Read = Callable[[str, int, int], np.ndarray]  # rows first:last of an array


@dataclass
class EdgesOfType:
    """The sources of the edges of one type, by own numbers, as an array that is read by ranges.

    Attributes:
        read: reads rows of `indices` and of `edge_type`.
        layout: of the nodes.
        number: of the edge type.
        ends: the types of its sources and destinations.
        indptr: int64 [N+1] of all edges.
        own_indptr: int64 [D+1], the edges of the type by destination.

    A range begins and ends with the edges of whole destinations.
    """

    read: Read
    layout: NodeLayout
    number: int
    ends: tuple[int, int]
    indptr: np.ndarray
    own_indptr: np.ndarray

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(index_dtype(self.layout.num_nodes))

    def __getitem__(self, edges: slice) -> np.ndarray:
        first, last, _ = edges.indices(int(self.own_indptr[-1]))
        found = [np.zeros(0, self.dtype)]
        if last > first:
            rows = np.array(
                [
                    np.searchsorted(self.own_indptr, first, "right") - 1,
                    np.searchsorted(self.own_indptr, last, "left") - 1,
                ]
            )
            low, high = self.layout.nodes(self.ends[1], rows).tolist()
            start, stop = int(self.indptr[low]), int(self.indptr[high + 1])
            found += [self._piece(at, min(at + EDGES_AT_ONCE, stop))
                      for at in range(start, stop, EDGES_AT_ONCE)]  # fmt: skip
        return np.concatenate(found)

    def _piece(self, start: int, stop: int) -> np.ndarray:
        here = self.read("edge_type", start, stop) == self.number
        sources = self.read("indices", start, stop)[here]
        return self.layout.own(self.ends[0], sources.astype(np.int64)).astype(self.dtype)


def degree_pieces(
    read: Read, layout: NodeLayout, num_edge_types: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The in-degrees of all nodes by edge type: pieces of types int16 [n], degrees int32 [n, R]."""
    step = max(ROWS_AT_ONCE // num_edge_types, 1)
    for start in range(0, layout.num_nodes, step):
        stop = min(start + step, layout.num_nodes)
        indptr = read("indptr", start, stop + 1)
        degree_nR = np.zeros((stop - start, num_edge_types), np.int32)
        for first in range(int(indptr[0]), int(indptr[-1]), EDGES_AT_ONCE):
            last = min(first + EDGES_AT_ONCE, int(indptr[-1]))
            _count(indptr, first, read("edge_type", first, last), degree_nR)
        types, _ = layout.types_and_own(np.arange(start, stop))
        yield types.astype(np.int16), degree_nR


@njit(nogil=True)
def _count(indptr: np.ndarray, first: int, types: np.ndarray, degree_nR: np.ndarray) -> None:
    """Add edges to the degrees of their rows; `first` is the number of the first edge."""
    row = np.searchsorted(indptr, first, side="right") - 1
    for place in range(len(types)):
        while first + place >= indptr[row + 1]:
            row += 1
        degree_nR[row, types[place]] += 1


def own_indptr(degree_n: np.ndarray) -> np.ndarray:
    """int64 [D+1]: the edges of a type by destination, from the degrees of its destinations."""
    return np.concatenate([[0], np.cumsum(degree_n, dtype=np.int64)])


def indptr_with_edges(indptr_D1: np.ndarray) -> np.ndarray:
    """int64 [M+1]: the same edges, by the M destinations that have any."""
    return indptr_D1[np.append(np.flatnonzero(np.diff(indptr_D1)), len(indptr_D1) - 1)]
