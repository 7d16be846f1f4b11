"""LABOR-0 (Balin and Catalyurek, NeurIPS 2023): rows choose the same sources where they can.

Every source u has one random number r_u in [0, 1) for all rows, and is a neighbour of row v if
r_u < k / d_v. A row has k neighbours on average. A batch reads fewer distinct nodes.

A hub costs its degree: the numbers of all its neighbours are compared. So they are made in a loop
without branches, which is vectorised, and a stretch without a number below the limit is skipped.

Legend: k fanout, d degree without excluded edges.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.sampling.draws.exclusion import filter_of, most_edges, new_ranges, open_row

AT_ONCE = 256  # neighbours whose random numbers are made at once


@njit(nogil=True)
def _hashes_below(
    nodes: np.ndarray, low_key: np.uint32, high_key: np.uint32, limit: np.uint32, out: np.ndarray
) -> int:
    """Write a hash of 32 bits for each node to `out`; the number of hashes below the limit.

    MurmurHash3's finaliser, with a key before each step. Bits above the 32nd come in with the
    second key: two nodes that differ in them alone have equal numbers only by chance.
    """
    below = np.uint32(0)
    for place in range(len(nodes)):
        node = np.int64(nodes[place])
        second_key = high_key ^ np.uint32(np.uint32(node >> np.int64(32)) * np.uint32(0x9E3779B1))
        x = np.uint32(np.uint32(node) ^ low_key)
        x = np.uint32(np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)) ^ second_key)
        x = np.uint32((x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        x = np.uint32(x ^ (x >> np.uint32(16)))
        out[place] = x
        below = np.uint32(below + np.uint32(x < limit))
    return int(below)


@njit(nogil=True)
def sample_labor(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    key: np.uint64,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The number of sampled edges of each row, and their sources."""
    ranges, is_excluded, filled = new_ranges(ex_start), filter_of(ex_row), 0
    count, hashes = np.empty(len(rows), np.int64), np.empty(AT_ONCE, np.uint32)
    source = np.empty(most_edges(indptr, rows, fanout)[0] + AT_ONCE, np.int64)
    low_key, high_key = np.uint32(key), np.uint32(key >> np.uint64(32))
    for number in range(len(rows)):
        row, start = rows[number], filled
        degree, num_ranges = open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, ranges
        )
        takes_all = fanout < 0 or degree <= fanout
        limit = np.uint32(0) if takes_all else np.uint32(fanout / degree * 2.0**32)
        for part in range(num_ranges):
            low, end = ranges[part, 0], ranges[part, 1]
            while low < end:
                size = min(end - low, AT_ONCE)
                if filled + size > len(source):
                    source = np.concatenate((source, np.empty(len(source) + size, np.int64)))
                if takes_all:
                    for place in range(size):
                        source[filled + place] = indices[low + place]
                    filled += size
                elif _hashes_below(indices[low : low + size], low_key, high_key, limit, hashes):
                    for place in range(size):
                        source[filled] = indices[low + place]  # kept if the number moves on
                        filled += hashes[place] < limit
                low += size
        count[number] = filled - start
    return count, source[:filled]
