"""Uniform sampling: k of d neighbours without replacement, all sets of k equally likely.

Floyd's algorithm (Bentley and Floyd, CACM 1987); above `FLOYD_MOST` selection sampling (Knuth,
TAOCP 2, 3.4.2 S).

Legend: k fanout, d degree without excluded edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.hashing import GAMMA, mix
from hvdtma.sampling.draws.exclusion import (
    filter_of,
    most_edges,
    new_ranges,
    open_row,
    to_edges,
    to_sources,
)

FLOYD_MOST = 48  # Floyd's algorithm takes O(k^2) comparisons


@njit(nogil=True)
def sample_uniform(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    key: np.uint64,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    first_node: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The number of sampled edges of each row, and their sources."""
    ranges, is_excluded, filled = new_ranges(ex_start), filter_of(ex_row), 0
    count, seen = np.empty(len(rows), np.int64), np.full(256, -1)
    source = np.empty(most_edges(indptr, rows, fanout)[0], np.int64)
    for number in range(len(rows)):
        row, start = rows[number], filled
        degree, num_ranges = open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, ranges
        )
        size = degree if fanout < 0 else min(fanout, degree)
        count[number] = size
        if size == degree:
            for part in range(num_ranges):
                for edge in range(ranges[part, 0], ranges[part, 1]):
                    source[filled] = edge
                    filled += 1
            continue
        filled += size
        stream = mix(key ^ np.uint64(row + first_node))
        if size <= FLOYD_MOST:
            for chosen in range(size):
                last = degree - size + chosen
                stream += GAMMA
                place = _below(mix(stream), last + 1)
                if seen[place & 255] == number:  # perhaps this place, else one like it
                    for earlier in range(start, start + chosen):
                        if source[earlier] == place:
                            place = last
                            break
                seen[place & 255] = number
                source[start + chosen] = place
        else:
            chosen = start
            for place in range(degree):
                stream += GAMMA
                if _below(mix(stream), degree - place) < filled - chosen:
                    source[chosen] = place
                    chosen += 1
        to_edges(source, start, filled, ranges, num_ranges)
    source = source[:filled]
    to_sources(source, indices)
    return count, source


@njit(nogil=True)
def _below(value: np.uint64, bound: int) -> Any:
    """A hash as an integer below a bound (Lemire, ACM TOMACS 2019), which is below 2^32."""
    return np.int64(((value >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))
