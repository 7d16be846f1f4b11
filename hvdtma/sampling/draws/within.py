"""All edges of some rows from the members of a set of nodes."""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.sampling.draws.exclusion import filter_of, most_edges, new_ranges, open_row


@njit(nogil=True)
def find_within(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    weights: np.ndarray,
    is_member: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of edges of each row from members, their sources and weights.

    Args:
        weights: float32, of all edges; empty if every edge counts 1.
        is_member: bool, by node.
    """
    ranges, is_excluded, filled = new_ranges(ex_start), filter_of(ex_row), 0
    count, most = np.empty(len(rows), np.int64), most_edges(indptr, rows, -1)[0]
    source, weight = np.empty(most, np.int64), np.empty(most if len(weights) else 0, np.float32)
    for number in range(len(rows)):
        row, start = rows[number], filled
        _, num_ranges = open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, ranges
        )
        for part in range(num_ranges):
            for edge in range(ranges[part, 0], ranges[part, 1]):
                if is_member[indices[edge]]:
                    source[filled] = indices[edge]
                    if len(weights):
                        weight[filled] = weights[edge]
                    filled += 1
        count[number] = filled - start
    return count, source[:filled].copy(), weight[:filled].copy()
