"""Features by truncated SVD: reduced from wide features, or made from the graph itself.

Legend: N nodes, D features, R features as given, n rows of a piece.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.builder.projection import Projection, weighted
from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.storage.node_ids import NodeIds

SVD_BYTES = 24  # per value of the result, work space included; measured
OVERSAMPLES = 10  # extra columns, scikit-learn's default
EDGE_BYTES = 12  # per byte of a node number: adjacency, values, scaled copies; measured
LEAST_SHARE = 1e-6  # of the largest singular value; smaller ones are noise


def svd_bytes(num_rows: int, dim: int) -> int:
    """The memory of a truncated SVD to `dim` columns, besides the matrix."""
    return SVD_BYTES * num_rows * (dim + OVERSAMPLES)


def reduction_bytes(num_given: int, dim: int) -> int:
    """The memory of the right singular vectors, from `num_given` features to `dim`; 0 if fewer."""
    return svd_bytes(num_given, dim) if num_given > dim else 0


def spectral_bytes(num_nodes: int, num_edges: int, dim: int) -> int:
    """The memory of `spectral_features`, with the graph."""
    index_bytes = np.dtype(index_dtype(num_nodes)).itemsize
    return EDGE_BYTES * index_bytes * num_edges + svd_bytes(num_nodes, dim)


def reduce_features(
    feat_NR: np.ndarray | sp.csr_matrix, dim: int, seed: int, names: NodeIds | None = None
) -> tuple[np.ndarray, Projection]:
    """Features float32 [N, dim] by randomised truncated SVD (Halko et al., SIAM Review 2011).

    Sparse counts are weighted by TF-IDF first, with rows of length 1; sparse values below 0 are no
    counts and keep their weights. Columns keep the scale of the SVD, and all values are divided by
    one number, so that the variance over the matrix is 1. Values are not centred: a node without
    features stays at zero. If R <= dim, the R features are returned as they are. If the matrix has
    a rank below dim, the last columns are zero.

    Returns the features, and the projection that makes them. Raises UserError if dim < 1.
    """
    if dim < 1:
        raise UserError(f"features cannot be reduced to {dim}; give 1 or more")
    num_rows, num_given = feat_NR.shape
    if num_given <= dim:
        dense = feat_NR if isinstance(feat_NR, np.ndarray) else feat_NR.toarray()
        return np.asarray(dense, np.float32), Projection("given", num_given, names)
    feat_NR = feat_NR.astype(np.float32, copy=False)
    idf_R = None if isinstance(feat_NR, np.ndarray) else _idf(feat_NR)
    rows_NR = feat_NR if idf_R is None else weighted(feat_NR, idf_R)
    rank = min(dim, num_rows)
    matrix_RD = np.zeros((num_given, dim), np.float32)
    matrix_RD[:, :rank] = _directions(rows_NR, rank, seed)
    reduced_ND = np.ascontiguousarray(rows_NR @ matrix_RD, np.float32)
    scale = reduced_ND[:, :rank].std()
    if scale > 0:
        matrix_RD /= scale
        reduced_ND /= scale
    return reduced_ND, Projection("svd", dim, names, matrix_RD, idf_R)


def spectral_features(csc: CSC, dim: int, seed: int, ids: NodeIds) -> tuple[np.ndarray, Projection]:
    """float32 [N, dim]: left singular vectors of M = D^-1/2 (A + I) D^-1/2, scaled by sqrt(S).

    A has the weights of the training edges (1 without) and no others, so the features do not depend
    on held-out links. The root mean square over the matrix is 1. The left vectors are M V / S, so
    that the same sum places nodes of a later graph: the Nystrom extension (Bengio et al., NeurIPS
    2003).

    Args:
        ids: of the nodes.

    Returns the features, and the projection that makes them: the right vectors V, scaled.
    """
    from sklearn.utils.extmath import randomized_svd  # slow to import

    num_nodes = csc.num_nodes
    adjacency = _adjacency(csc, num_nodes) + sp.identity(num_nodes, dtype=np.float32, format="csr")
    root_N = np.sqrt(np.asarray(adjacency.sum(1)).ravel()).astype(np.float32)
    scale = sp.diags(1 / root_N)
    _, singular, right = randomized_svd(
        scale @ adjacency @ scale, min(dim, num_nodes - 1), random_state=seed
    )
    kept = singular > LEAST_SHARE * singular.max(initial=0)
    factor = np.where(kept, 1 / np.sqrt(np.where(kept, singular, 1)), 0).astype(np.float32)
    matrix_ND = np.ascontiguousarray(right.T * factor)
    del right
    matrix_ND /= root_N[:, None]
    feat_ND = adjacency @ matrix_ND
    feat_ND /= root_N[:, None]
    size = max(np.sqrt((feat_ND**2).mean()), 1e-12)
    matrix_ND /= size
    feat_ND /= size
    return feat_ND, Projection("graph", matrix_ND.shape[1], ids, matrix_ND)


def neighbour_features(
    rows: CSC,
    weight_e: np.ndarray | None,
    place_N: np.ndarray,
    own_n: np.ndarray,
    matrix_RD: np.ndarray,
) -> np.ndarray:
    """Features float32 [n, D] of nodes, from those neighbours that a projection knows.

    The sum of the projection's rows of the neighbours, with the weights of the edges, and of the
    node itself, divided by the root of all weights; 0 without any.

    Args:
        rows: the in-edges of the nodes.
        weight_e: their weights; None: 1.
        place_N: the row of each node of the graph in the projection, or -1.
        own_n: the same of the n nodes.
    """
    num_nodes = rows.num_nodes
    node_e = np.concatenate([rows.destinations(), np.arange(num_nodes)])
    place_e = np.concatenate([place_N[rows.indices], own_n])
    weight = np.ones(len(node_e), np.float32)
    if weight_e is not None:
        weight[: len(weight_e)] = weight_e
    known = place_e >= 0
    node_e, place_e, weight = node_e[known], place_e[known], weight[known]
    sums = sp.csr_matrix((weight, (node_e, place_e)), shape=(num_nodes, len(matrix_RD)))
    total_n = np.bincount(node_e, weight, minlength=num_nodes)
    root_n = np.sqrt(np.where(total_n > 0, total_n, 1)).astype(np.float32)
    return np.asarray(sums @ matrix_RD, np.float32) / root_n[:, None]


def _adjacency(csc: CSC, num_nodes: int) -> sp.csr_matrix:
    weight_E = np.ones(csc.num_edges, np.float32) if csc.weight is None else csc.weight
    return sp.csr_matrix((weight_E, csc.indices, csc.indptr), shape=(num_nodes, num_nodes))


def _idf(feat_NR: sp.csr_matrix) -> np.ndarray | None:
    """The weights of counts, float32 [R]; None for values that are no counts."""
    from sklearn.feature_extraction.text import TfidfTransformer  # slow to import

    if feat_NR.nnz == 0 or feat_NR.data.min() < 0:
        return None
    return TfidfTransformer().fit(feat_NR).idf_.astype(np.float32)


def _directions(feat_NR: np.ndarray | sp.csr_matrix, dim: int, seed: int) -> np.ndarray:
    """The right singular vectors [R, dim]."""
    from sklearn.utils.extmath import randomized_svd  # slow to import

    _, _, directions = randomized_svd(feat_NR, dim, n_iter=5, random_state=seed)
    return np.asarray(directions.T)
