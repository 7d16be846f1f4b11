"""Excluded edges, and the other edges of a row as ranges.

Every sampler visits the edges of a row by these ranges, so no edge costs more in a row with many
excluded ones.

Legend: M excluded edges, R rows with excluded edges, Q pairs of nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import first_at_least


class Exclusion(NamedTuple):
    """Edges that no sample may have: sources by row.

    Attributes:
        row: int64 [R] rows with excluded edges, ascending and distinct.
        start: int64 [R + 1]; row `row[i]` has the sources start[i] : start[i + 1].
        source: int64 [M], ascending and distinct within a row.
    """

    row: np.ndarray
    start: np.ndarray
    source: np.ndarray

    @classmethod
    def of(cls, src_Q: np.ndarray, dst_Q: np.ndarray, num_nodes: int) -> Exclusion:
        """Exclude the edges between pairs of nodes (int64 [Q]), in both directions."""
        return cls.one_way(np.r_[src_Q, dst_Q], np.r_[dst_Q, src_Q], num_nodes)

    @classmethod
    def one_way(cls, src_Q: np.ndarray, dst_Q: np.ndarray, num_src: int) -> Exclusion:
        """Exclude the edges from src to dst (int64 [Q]); sources are numbers below `num_src`."""
        row_M, source_M = np.divmod(np.unique(dst_Q * np.int64(num_src) + src_Q), num_src)
        row, start = np.unique(row_M, return_index=True)
        return cls(row, np.append(start, len(row_M)), source_M)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Sources and rows of the excluded edges, int64 [M]."""
        return self.source, np.repeat(self.row, np.diff(self.start))


NOTHING = Exclusion(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))


@njit(nogil=True)
def new_ranges(ex_start: np.ndarray) -> np.ndarray:
    """An array for the ranges of any row, for `open_row`."""
    most = 0
    for row in range(len(ex_start) - 1):
        most = max(most, ex_start[row + 1] - ex_start[row])
    return np.empty((most + 1, 3), np.int64)


@njit(nogil=True)
def filter_of(ex_row: np.ndarray) -> np.ndarray:
    """A table that most rows without excluded edges are recognised by, at their last bits."""
    size = 64
    while size < 8 * len(ex_row):
        size *= 2
    table = np.zeros(size, np.bool_)
    for row in ex_row:
        table[row & (size - 1)] = True
    return table


@njit(nogil=True, inline="always")
def open_row(
    indptr: np.ndarray,
    indices: np.ndarray,
    row: int,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    is_excluded: np.ndarray,
    ranges: np.ndarray,
) -> tuple[int, int]:
    """Write the ranges of a row's edges that are not excluded to `ranges`, ascending.

    A range is its first edge, the edge after its last one, and the number of edges in the ranges
    before it. Returns the number of edges in all ranges, and the number of ranges.
    """
    first, end = indptr[row], indptr[row + 1]
    degree, found = 0, 0
    if is_excluded[row & (len(is_excluded) - 1)]:
        place = first_at_least(ex_row, 0, len(ex_row), row)
        if place < len(ex_row) and ex_row[place] == row:
            stop = first
            for number in range(ex_start[place], ex_start[place + 1]):
                start = first_at_least(indices, stop, end, ex_source[number])
                stop = start
                while stop < end and indices[stop] == ex_source[number]:
                    stop += 1
                if stop > start:
                    if start > first:
                        ranges[found, 0], ranges[found, 1], ranges[found, 2] = first, start, degree
                        degree += start - first
                        found += 1
                    first = stop
    if end > first:
        ranges[found, 0], ranges[found, 1], ranges[found, 2] = first, end, degree
        degree += end - first
        found += 1
    return degree, found


@njit(nogil=True, inline="always")
def edge_at(place: int, ranges: np.ndarray, num_ranges: int) -> int:
    """The edge that is number `place` of those in the ranges of a row."""
    low, high = 0, num_ranges
    while high - low > 1:
        middle = (low + high) // 2
        if ranges[middle, 2] <= place:
            low = middle
        else:
            high = middle
    return ranges[low, 0] + place - ranges[low, 2]


@njit(nogil=True, inline="always")
def to_edges(
    place_E: np.ndarray, start: int, end: int, ranges: np.ndarray, num_ranges: int
) -> None:
    """Replace places among the edges of a row by edges, at start:end, as `edge_at` does."""
    if num_ranges == 1:
        first = ranges[0, 0]
        for at in range(start, end):
            place_E[at] += first
    else:
        for at in range(start, end):
            place_E[at] = edge_at(place_E[at], ranges, num_ranges)


@njit(nogil=True, inline="always")
def to_sources(edge_E: np.ndarray, indices: np.ndarray) -> None:
    """Replace edges by their sources.

    For all rows at the end, not row by row: the processor waits for many reads at once.
    """
    for at in range(len(edge_E)):
        edge_E[at] = indices[edge_E[at]]


@njit(nogil=True)
def most_edges(indptr: np.ndarray, rows: np.ndarray, fanout: int) -> tuple[int, int]:
    """The most edges that a sample of `fanout` edges for each row can have; the largest degree."""
    most, largest = 0, 0
    for row in rows:
        degree = indptr[row + 1] - indptr[row]
        most += degree if fanout < 0 else min(degree, fanout)
        largest = max(largest, degree)
    return most, largest
