"""Chebyshev graph convolution.

Legend: N nodes, R width in, H width out, q order.
"""

from __future__ import annotations

import torch
from torch import nn

from hypergraph.sparse import SparseMatrix

Operator = SparseMatrix | torch.Tensor
"""A symmetric matrix [N, N] with eigenvalues in [-1, 1], sparse or dense."""


def chebyshev_terms(
    operator: Operator | None, x_NR: torch.Tensor, order: int
) -> list[torch.Tensor]:
    """T_0(operator) x, ..., T_q(operator) x, each [N, R].

    T_k = 2 operator T_{k-1} - T_{k-2}: q sparse products, and no power of the operator. None is
    the zero operator: T_k x is then x, 0, -x, 0, and so on.
    """
    if operator is None:
        zero_NR = torch.zeros_like(x_NR)
        return [[x_NR, zero_NR, -x_NR, zero_NR][k % 4] for k in range(order + 1)]
    terms = [x_NR]
    if order:
        terms.append(operator @ x_NR)
    for _ in range(order - 1):
        terms.append(2 * (operator @ terms[-1]) - terms[-2])
    return terms


class ChebyshevConv(nn.Module):
    """sum_k T_k(operator) X Theta_k + b for k = 0 ... q (Defferrard et al., NeurIPS 2016, 2.1).

    Reads q hops around a node, with q sparse products. Order 0 is a linear map of the node's row.
    """

    def __init__(self, in_dim: int, out_dim: int, order: int):
        super().__init__()
        self.order = order
        self.theta = nn.Linear((order + 1) * in_dim, out_dim)

    def forward(self, x_NR: torch.Tensor, operator: Operator | None) -> torch.Tensor:
        """[N, H]; the operator is a `rescaled` Laplacian, None for the zero operator."""
        return self.theta(torch.cat(chebyshev_terms(operator, x_NR, self.order), 1))
