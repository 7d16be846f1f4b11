"""Compressed sparse columns (CSC): in-edges by destination.

The sources of v's in-edges are indices[indptr[v]:indptr[v+1]], ascending.

Legend: N nodes, E edges, Q queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.core.compiled import njit


@dataclass
class CSC:
    """The in-edges of a graph, grouped by destination.

    Attributes:
        indptr: int64 [N+1].
        indices: int32 or int64 [E], sources, ascending within a destination.
        edge_type: int16 [E], or None.
        weight: float32 [E], or None if every edge counts 1.
    """

    indptr: np.ndarray
    indices: np.ndarray
    edge_type: np.ndarray | None = None
    weight: np.ndarray | None = None

    @property
    def num_nodes(self) -> int:
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        return len(self.indices)

    def destinations(self) -> np.ndarray:
        """The destination of every edge, of the indices' dtype [E]."""
        nodes = np.arange(self.num_nodes, dtype=self.indices.dtype)
        return np.repeat(nodes, np.diff(self.indptr))

    def has_edges(self, src_Q: np.ndarray, dst_Q: np.ndarray) -> np.ndarray:
        """Bool [Q]: whether each (src, dst) is an edge."""
        return self.count_edges(src_Q, dst_Q) > 0

    def count_edges(self, src_Q: np.ndarray, dst_Q: np.ndarray) -> np.ndarray:
        """int64 [Q]: the number of parallel edges from each src to dst."""
        return self._lookup(src_Q, dst_Q)[0]

    def edge_weights(self, src_Q: np.ndarray, dst_Q: np.ndarray) -> np.ndarray:
        """float64 [Q]: the sum of the weights of all parallel edges from each src to dst."""
        return self._lookup(src_Q, dst_Q)[1]

    def _lookup(self, src_Q: np.ndarray, dst_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weight = np.zeros(0, np.float32) if self.weight is None else self.weight
        return _find_edges(self.indptr, self.indices, weight, src_Q, dst_Q)


def index_dtype(num_nodes: int) -> type:
    """int32 if it can hold all node numbers, else int64."""
    return np.int32 if num_nodes <= np.iinfo(np.int32).max else np.int64


def build_csc(
    src_E: np.ndarray,
    dst_E: np.ndarray,
    num_nodes: int,
    edge_type_E: np.ndarray | None = None,
    weight_E: np.ndarray | None = None,
) -> CSC:
    """Sort edges by (destination, source) with two stable counting sorts, O(N + E)."""
    by_src = _counting_order(src_E, np.arange(len(src_E)), num_nodes)[1]
    indptr, order = _counting_order(dst_E, by_src, num_nodes)
    return CSC(
        indptr,
        src_E[order].astype(index_dtype(num_nodes)),
        None if edge_type_E is None else edge_type_E[order].astype(np.int16),
        None if weight_E is None else weight_E[order].astype(np.float32),
    )


@njit()
def _counting_order(
    key_E: np.ndarray, order_E: np.ndarray, num_keys: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first position of each key [num_keys+1], and `order_E` sorted stably by key."""
    start = np.zeros(num_keys + 1, np.int64)
    for key in key_E:
        start[key + 1] += 1
    for key in range(num_keys):
        start[key + 1] += start[key]
    free = start[:-1].copy()
    sorted_E = np.empty(len(key_E), np.int64)
    for edge in order_E:
        key = key_E[edge]
        sorted_E[free[key]] = edge
        free[key] += 1
    return start, sorted_E


@njit(nogil=True, inline="always")
def first_at_least(values: np.ndarray, low: int, high: int, wanted: int) -> int:
    """The first place in ascending values[low:high] that is at least `wanted`; else `high`."""
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True)
def _find_edges(
    indptr: np.ndarray,
    indices: np.ndarray,
    weight: np.ndarray,
    src_Q: np.ndarray,
    dst_Q: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The number of parallel edges from each src to dst, and the sum of their weights."""
    count, total = np.zeros(len(src_Q), np.int64), np.zeros(len(src_Q), np.float64)
    weighted = len(weight) > 0
    for query in range(len(src_Q)):
        src, end = src_Q[query], indptr[dst_Q[query] + 1]
        low = first_at_least(indices, indptr[dst_Q[query]], end, src)
        while low < end and indices[low] == src:
            count[query] += 1
            total[query] += weight[low] if weighted else np.float32(1)
            low += 1
    return count, total
