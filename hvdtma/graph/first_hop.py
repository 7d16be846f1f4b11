"""The mean of every node's in-neighbours' features over the whole training graph.

It is static, so it is computed once; with it each trainer has its complete first neighbourhood
without any halo. Undoing a target link's own part is `hvdtma.sampling.first_hop`'s work.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.console import progress
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.blocks import rows_per_chunk
from hvdtma.graph.csc import CSC
from hvdtma.graph.neighbour_means import least_bytes, neighbour_means
from hvdtma.storage.writer import StoreWriter


def first_hop(csc: CSC, feat_ND: np.ndarray) -> np.ndarray:
    """float32 [N, D]: row v is the mean of feat over v's in-edges, 0 without any."""
    bands = neighbour_means(csc.indptr, csc.indices, feat_ND, memory_bytes=1 << 62)
    return np.concatenate([np.zeros((0, feat_ND.shape[1]), np.float32), *bands])


def held_for_first_hop(num_nodes: int, itemsize: int) -> int:
    """The least that the first hop takes: where edges begin, a column of features, and bands."""
    return 8 * (num_nodes + 1) + least_bytes(num_nodes, itemsize)


def room_for_first_hop(num_nodes: int, itemsize: int, memory: MemoryBudget) -> int:
    """Bytes that `neighbour_means` may take; raises UserError where they are too few."""
    held_bytes = held_for_first_hop(num_nodes, itemsize)
    return memory.available(held_bytes, "the first hop") + least_bytes(num_nodes, itemsize)


def write_first_hop(writer: StoreWriter, memory: MemoryBudget, block_nodes: int) -> None:
    """Compute the first hop of the store that is being written, and write it."""
    feat, indptr, indices = (writer.written(name) for name in ("feat", "indptr", "indices"))
    num_nodes, dim = feat.shape
    room = room_for_first_hop(num_nodes, feat.dtype.itemsize, memory)
    chunk_rows = rows_per_chunk(block_nodes, dim * feat.dtype.itemsize)
    with (
        progress("first hop", indices.shape[0] * dim, "edges x features") as advance,
        writer.growing("first_hop", feat.dtype, num_nodes, (dim,), chunk_rows=chunk_rows) as out,
    ):
        for mean_nD in neighbour_means(
            indptr[:],
            indices,
            feat,
            memory_bytes=room,
            folder=writer.made_scratch(),
            dtype=feat.dtype,
            tell=advance,
        ):
            out.append(mean_nD)
