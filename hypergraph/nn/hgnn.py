"""The hypergraph convolution of HGNN.

Legend: N items, M hyperedges, D width in, H width out.
"""

from __future__ import annotations

import torch
from torch import nn

from hypergraph.nn.incidence import Incidence
from hypergraph.sparse import inverse_root


class HGNNConv(nn.Module):
    """Spectral hypergraph convolution (Feng et al., AAAI 2019, equations 10 and 11).

        D_v^-1/2 H W D_e^-1 H^T D_v^-1/2 X Theta + b

    H incidence; W hyperedge weights; D_v weighted item degrees, D_e hyperedge sizes. The inverse of
    zero is zero: an item in no hyperedge gets only the bias, and an empty hyperedge contributes
    nothing. The paper has no bias; `bias=False` gives its equation.
    """

    def __init__(self, in_dim: int, out_dim: int, *, bias: bool = True):
        super().__init__()
        self.theta = nn.Linear(in_dim, out_dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_dim)) if bias else None

    def forward(
        self, x_ND: torch.Tensor, incidence: Incidence, weight_M: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The convolved features of items, [N, H], in the dtype of the features.

        Args:
            x_ND: features [N, D], floating, of the layer's dtype.
            incidence: the hypergraph of N items and M hyperedges, on the same device.
            weight_M: hyperedge weights [M] of that dtype, not negative; None: all 1. They may
                require gradients.

        Raises RuntimeError, as PyTorch does, for shapes, dtypes or devices that do not fit.
        """
        matrix = incidence.matrix.to(x_ND.dtype)
        share_M = 1 / incidence.size.clamp(min=1).to(x_ND.dtype)
        degree_N = incidence.degree.to(x_ND.dtype)
        if weight_M is not None:
            share_M = share_M * weight_M
            degree_N = (matrix @ weight_M[:, None])[:, 0]
        scale_N1 = inverse_root(degree_N)[:, None]
        edge_MH = share_M[:, None] * (matrix.T @ (scale_N1 * self.theta(x_ND)))
        out_NH = scale_N1 * (matrix @ edge_MH)
        return out_NH if self.bias is None else out_NH + self.bias
