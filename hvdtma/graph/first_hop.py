"""The mean of every node's in-neighbours' features over the whole training graph.

It is static, so it is computed once; with it each trainer has its complete first neighbourhood
without any halo. Undoing a target link's own part is `hvdtma.shard.first_hop`'s work.
"""

from __future__ import annotations

import numpy as np

from hvdtma.console import progress
from hvdtma.graph.blocks import rows_per_chunk
from hvdtma.graph.csc import CSC
from hvdtma.graph.external.memory import Memory
from hvdtma.graph.neighbour_means import neighbour_means
from hvdtma.graph.store import StoreWriter

ROWS_AT_ONCE = 1 << 18  # turned into the features' dtype and written


def first_hop(csc: CSC, feat_ND: np.ndarray) -> np.ndarray:
    """float32 [N, D]: row v is the mean of feat over v's in-edges, 0 without any."""
    bands = neighbour_means(csc.indptr, csc.indices, feat_ND, memory_bytes=1 << 62)
    return np.concatenate([np.zeros((0, feat_ND.shape[1]), np.float32), *bands])


def write_first_hop(writer: StoreWriter, memory: Memory, block_nodes: int) -> None:
    """Compute the first hop of the store that is being written, and write it."""
    feat, indptr, indices = (writer.written(name) for name in ("feat", "indptr", "indices"))
    num_nodes, dim = feat.shape
    room = memory.left(8 * (num_nodes + 1), "the first hop")
    chunk_rows = rows_per_chunk(block_nodes, dim * feat.dtype.itemsize)
    with (
        progress("first hop", indices.shape[0] * dim, "edges x features") as advance,
        writer.growing("first_hop", feat.dtype, num_nodes, (dim,), chunk_rows=chunk_rows) as out,
    ):
        indptr_N1 = indptr[:]
        for mean_nD in neighbour_means(indptr_N1, indices, feat, memory_bytes=room):
            start = out.num_rows
            for first in range(0, len(mean_nD), ROWS_AT_ONCE):
                out.append(mean_nD[first : first + ROWS_AT_ONCE])
            del mean_nD  # before the next is made
            advance(int(indptr_N1[out.num_rows] - indptr_N1[start]) * dim)
