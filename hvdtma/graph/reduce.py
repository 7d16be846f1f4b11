"""Fewer features: wide sparse or dense ones squeezed by a truncated SVD.

Legend: N nodes, D features.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError

SVD_BYTES = 24  # of a value of the result, and of what is worked with beside it; measured
OVERSAMPLES = 10  # columns more than are asked for, scikit-learn's default


def svd_bytes(num_rows: int, dim: int) -> int:
    """What a truncated SVD to `dim` columns takes, beside the matrix."""
    return SVD_BYTES * num_rows * (dim + OVERSAMPLES)


def reduce_features(feat_ND: np.ndarray | sp.csr_matrix, dim: int, seed: int) -> np.ndarray:
    """Features float32 [N, dim] by randomised truncated SVD (Halko et al., SIAM Review 2011).

    Sparse counts are weighted by TF-IDF first, rows of length 1 (values below 0 are no counts and
    stay as they are). The SVD's own scale between columns is kept and all values are divided by
    one number, so that their variance over the whole matrix is 1. Nothing is centred: a node
    without features stays at zero. Where D <= dim nothing is reduced and D features come back
    unscaled; where the matrix has fewer than dim directions the last columns are zero.

    Raises UserError where dim < 1.
    """
    if dim < 1:
        raise UserError(f"features cannot be reduced to {dim}; give 1 or more")
    if feat_ND.shape[1] <= dim:
        dense = feat_ND if isinstance(feat_ND, np.ndarray) else feat_ND.toarray()
        return np.asarray(dense, np.float32)
    feat_ND = feat_ND.astype(np.float32, copy=False)
    if not isinstance(feat_ND, np.ndarray):
        feat_ND = _tf_idf(feat_ND)
    reduced = _svd(feat_ND, min(dim, feat_ND.shape[0]), seed)
    scale = reduced.std()
    if scale > 0:
        reduced /= scale
    missing = dim - reduced.shape[1]
    return np.ascontiguousarray(np.pad(reduced, ((0, 0), (0, missing))), np.float32)


def _tf_idf(feat_ND: sp.csr_matrix) -> sp.csr_matrix:
    from sklearn.feature_extraction.text import TfidfTransformer

    if feat_ND.nnz == 0 or feat_ND.data.min() < 0:
        return feat_ND
    return TfidfTransformer().fit_transform(feat_ND)


def _svd(feat_ND: np.ndarray | sp.csr_matrix, dim: int, seed: int) -> np.ndarray:
    from sklearn.utils.extmath import randomized_svd

    _, _, directions = randomized_svd(feat_ND, dim, n_iter=5, random_state=seed)
    return np.asarray(feat_ND @ directions.T)
