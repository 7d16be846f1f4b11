"""The first hop: the mean of the features of each node's in-neighbours in the training graph.

With edge weights it is the weighted mean, sum(w x) / sum(w).

It is constant, so it is computed once and stored. With it, each trainer has the complete first
neighbourhood of its nodes. `hvdtma.sampling.first_hop` removes a batch's own links from it.

Legend: N nodes, D features, n nodes of a band.
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
    """float32 [N, D]: row v is the weighted mean of feat over v's in-edges; 0 without in-edges."""
    bands = neighbour_means(
        csc.indptr, csc.indices, feat_ND, memory_bytes=1 << 62, weights=csc.weight
    )
    return np.concatenate([np.zeros((0, feat_ND.shape[1]), np.float32), *bands])


def first_hop_bytes(num_nodes: int, itemsize: int) -> int:
    """The least memory for the first hop: indptr, one column of features, and bands."""
    return 8 * (num_nodes + 1) + least_bytes(num_nodes, itemsize)


def available_for_first_hop(num_nodes: int, itemsize: int, memory: MemoryBudget) -> int:
    """The `memory_bytes` of `neighbour_means`; raises UserError if `memory` is too small."""
    required = first_hop_bytes(num_nodes, itemsize)
    return memory.available(required, "the first hop") + least_bytes(num_nodes, itemsize)


def write_first_hop(writer: StoreWriter, memory: MemoryBudget, block_nodes: int) -> None:
    """Compute the first hop from the arrays of the new store, and write it."""
    feat, indptr, indices = (writer.reader(name) for name in ("feat", "indptr", "indices"))
    num_nodes, dim = feat.shape
    memory_bytes = available_for_first_hop(num_nodes, feat.dtype.itemsize, memory)
    chunk_rows = rows_per_chunk(block_nodes, dim * feat.dtype.itemsize)
    with (
        progress("first hop", indices.shape[0] * dim, "edges x features") as advance,
        writer.create_array(
            "first_hop", feat.dtype, num_nodes, (dim,), chunk_rows=chunk_rows
        ) as out,
    ):
        for mean_nD in neighbour_means(
            indptr[:],
            indices,
            feat,
            memory_bytes=memory_bytes,
            weights=writer.reader("weight") if "weight" in writer.attrs["checksums"] else None,
            folder=writer.scratch_folder(),
            dtype=feat.dtype,
            advance=advance,
        ):
            out.append(mean_nD)
