"""The links of a shard to train on, by number."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.sampling.members import marked
from hvdtma.sampling.shard import Shard


class Positives:
    """A shard's training links by number, taken from its CSC. An undirected link counts once.

    An undirected graph has each link in both directions. The direction u -> v with u < v is used.
    Sources ascend within a row, so these are the first entries of row v.
    """

    def __init__(self, shard: Shard, undirected: bool):
        self.csc, self.undirected = shard.csc, undirected
        self.row_ends = shard.csc.indptr  # row r has the links row_ends[r] : row_ends[r + 1]
        if undirected:
            below_n = _count_below(shard.csc.indptr, shard.csc.indices)
            self.row_ends = np.concatenate([[0], np.cumsum(below_n)])

    @cached_property
    def ends(self) -> np.ndarray:
        """int64 [2, n]: the number of links by destination and by source.

        A link of an undirected graph counts for both of its ends, in both rows.
        """
        destinations = np.diff(self.csc.indptr)
        if self.undirected:
            return np.stack([destinations, destinations])
        sources = np.bincount(self.csc.indices, minlength=self.csc.num_nodes)
        return np.stack([destinations, sources])

    def __len__(self) -> int:
        return int(self.row_ends[-1])

    def take(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Source and destination (int64 local numbers) and int16 types (or None) of some links."""
        dst = np.searchsorted(self.row_ends, chosen, side="right") - 1
        edge = self.csc.indptr[dst] + (chosen - self.row_ends[dst])
        types = self.csc.edge_type
        return self.csc.indices[edge].astype(np.int64), dst, None if types is None else types[edge]

    def between(self, nodes: np.ndarray) -> np.ndarray:
        """The numbers of the links between some nodes (int64, ascending), ascending."""
        csc = self.csc
        with marked(nodes, csc.num_nodes) as is_member:
            return _links_between(csc.indptr, csc.indices, self.row_ends, nodes, is_member)


@njit(nogil=True)
def _links_between(
    indptr: np.ndarray,
    indices: np.ndarray,
    row_ends: np.ndarray,
    nodes: np.ndarray,
    is_member: np.ndarray,
) -> np.ndarray:
    most = 0
    for node in nodes:
        most += row_ends[node + 1] - row_ends[node]
    found, filled = np.empty(most, np.int64), 0
    for node in nodes:
        for place in range(row_ends[node + 1] - row_ends[node]):
            if is_member[indices[indptr[node] + place]]:
                found[filled] = row_ends[node] + place
                filled += 1
    return found[:filled].copy()


@njit(nogil=True)
def _count_below(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Number of sources of each row that are smaller than the row's number, int64 [n]."""
    count = np.zeros(len(indptr) - 1, np.int64)
    for row in range(len(count)):
        for edge in range(indptr[row], indptr[row + 1]):
            if indices[edge] >= row:
                break
            count[row] += 1
    return count
