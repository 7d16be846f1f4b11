"""Features by truncated SVD: reduced from wide features, or made from the graph itself.

Legend: N nodes, D features.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.csc import CSC, index_dtype

SVD_BYTES = 24  # per value of the result, work space included; measured
OVERSAMPLES = 10  # extra columns, scikit-learn's default
EDGE_BYTES = 12  # per byte of a node number: adjacency, values, scaled copies; measured


def svd_bytes(num_rows: int, dim: int) -> int:
    """The memory of a truncated SVD to `dim` columns, besides the matrix."""
    return SVD_BYTES * num_rows * (dim + OVERSAMPLES)


def spectral_bytes(num_nodes: int, num_edges: int, dim: int) -> int:
    """The memory of `spectral_features`, with the graph."""
    index_bytes = np.dtype(index_dtype(num_nodes)).itemsize
    return EDGE_BYTES * index_bytes * num_edges + svd_bytes(num_nodes, dim)


def reduce_features(feat_ND: np.ndarray | sp.csr_matrix, dim: int, seed: int) -> np.ndarray:
    """Features float32 [N, dim] by randomised truncated SVD (Halko et al., SIAM Review 2011).

    Sparse counts are weighted by TF-IDF first, with rows of length 1; sparse values below 0 are no
    counts and keep their weights. Columns keep the scale of the SVD, and all values are divided by
    one number, so that the variance over the matrix is 1. Values are not centred: a node without
    features stays at zero. If D <= dim, the D features are returned as they are. If the matrix has
    a rank below dim, the last columns are zero.

    Raises UserError if dim < 1.
    """
    if dim < 1:
        raise UserError(f"features cannot be reduced to {dim}; give 1 or more")
    if feat_ND.shape[1] <= dim:
        dense = feat_ND if isinstance(feat_ND, np.ndarray) else feat_ND.toarray()
        return np.asarray(dense, np.float32)
    feat_ND = feat_ND.astype(np.float32, copy=False)
    if not isinstance(feat_ND, np.ndarray):
        feat_ND = _tf_idf(feat_ND)
    reduced = _project(feat_ND, min(dim, feat_ND.shape[0]), seed)
    scale = reduced.std()
    if scale > 0:
        reduced /= scale
    missing = dim - reduced.shape[1]
    return np.ascontiguousarray(np.pad(reduced, ((0, 0), (0, missing))), np.float32)


def spectral_features(csc: CSC, dim: int, seed: int) -> np.ndarray:
    """float32 [N, dim]: left singular vectors of D^-1/2 (A + I) D^-1/2, scaled by sqrt(S).

    A has the weights of the training edges (1 without) and no others, so the features do not depend
    on held-out links. The root mean square over the matrix is 1.
    """
    from sklearn.utils.extmath import randomized_svd  # slow to import

    num_nodes = csc.num_nodes
    weight_E = np.ones(csc.num_edges, np.float32) if csc.weight is None else csc.weight
    adjacency = sp.csr_matrix((weight_E, csc.indices, csc.indptr), shape=(num_nodes, num_nodes))
    adjacency = adjacency + sp.identity(num_nodes, dtype=np.float32, format="csr")
    scale = sp.diags(1 / np.sqrt(np.asarray(adjacency.sum(1)).ravel()).astype(np.float32))
    left, singular, _ = randomized_svd(
        scale @ adjacency @ scale, min(dim, num_nodes - 1), random_state=seed
    )
    feat = left * np.sqrt(singular)
    return (feat / max(np.sqrt((feat**2).mean()), 1e-12)).astype(np.float32)


def _tf_idf(feat_ND: sp.csr_matrix) -> sp.csr_matrix:
    from sklearn.feature_extraction.text import TfidfTransformer  # slow to import

    if feat_ND.nnz == 0 or feat_ND.data.min() < 0:
        return feat_ND
    return TfidfTransformer().fit_transform(feat_ND)


def _project(feat_ND: np.ndarray | sp.csr_matrix, dim: int, seed: int) -> np.ndarray:
    from sklearn.utils.extmath import randomized_svd  # slow to import

    _, _, directions = randomized_svd(feat_ND, dim, n_iter=5, random_state=seed)
    return np.asarray(feat_ND @ directions.T)
