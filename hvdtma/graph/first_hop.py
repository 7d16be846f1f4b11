"""The mean of every node's in-neighbours' features over the whole training graph.

It is static, so it is computed once; with it each trainer has its complete first neighbourhood
without any halo. Undoing a target link's own part is `hvdtma.shard.first_hop`'s work.

Legend: N nodes, D features.
"""

from __future__ import annotations

import numpy as np

from hvdtma.graph.csc import CSC, neighbour_mean


def first_hop(csc: CSC, feat_ND: np.ndarray) -> np.ndarray:
    """float32 [N, D]: row v is the mean of feat over v's in-edges, 0 without any."""
    out_ND = np.empty(feat_ND.shape, np.float32)
    feat_ND = feat_ND.astype(np.float32, copy=False)  # Numba knows no float16 on CPUs
    neighbour_mean(csc.indptr, csc.indices, feat_ND, out_ND, 0)
    return out_ND
