"""Features for graphs that come without: a truncated SVD of the training graph itself.

Legend: N nodes, D features.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.graph.reduce import svd_bytes

EDGE_BYTES = 12  # times an index: the graph, its values, and copies with both scaled; measured


def spectral_bytes(num_nodes: int, num_edges: int, dim: int) -> int:
    """What `spectral_features` takes, with the graph."""
    index_bytes = np.dtype(index_dtype(num_nodes)).itemsize
    return EDGE_BYTES * index_bytes * num_edges + svd_bytes(num_nodes, dim)


def spectral_features(csc: CSC, dim: int, seed: int) -> np.ndarray:
    """float32 [N, dim]: left singular vectors of D^-1/2 (A + I) D^-1/2, scaled by sqrt(S).

    Only training edges are seen, so nothing of the held-out links is in the features. Columns
    have unit root mean square over all nodes together, not each.
    """
    num_nodes = csc.num_nodes
    ones = np.ones(csc.num_edges, np.float32)
    adjacency = sp.csr_matrix((ones, csc.indices, csc.indptr), shape=(num_nodes, num_nodes))
    adjacency = adjacency + sp.identity(num_nodes, dtype=np.float32, format="csr")
    scale = sp.diags(1 / np.sqrt(np.asarray(adjacency.sum(1)).ravel()).astype(np.float32))
    left, singular, _ = randomized_svd(
        scale @ adjacency @ scale, min(dim, num_nodes - 1), random_state=seed
    )
    feat = left * np.sqrt(singular)
    return (feat / max(np.sqrt((feat**2).mean()), 1e-12)).astype(np.float32)
