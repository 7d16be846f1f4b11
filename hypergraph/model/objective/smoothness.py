"""The smoothness of a factor along its graph.

Legend: N items, R rank.
"""

from __future__ import annotations

import torch

from hypergraph.model.chebyshev import Operator


def smoothness(factor_NR: torch.Tensor, laplacian: Operator) -> torch.Tensor:
    """1/2 tr(F^T L F) / N; divided by N, so that one weight suits modalities of any size.

    For a normalised Laplacian, half the sum over edges of w_uv |F_u / sqrt(d_u) - F_v /
    sqrt(d_v)|^2, each pair once, divided by N.

    Args:
        laplacian: the Laplacian, not `rescaled`.
    """
    return (factor_NR * (laplacian @ factor_NR)).sum() / (2 * max(len(factor_NR), 1))
