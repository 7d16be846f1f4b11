"""The mean-field convolution: UniSAGE.

Legend: N items, M hyperedges, D width in, H width out.
"""

from __future__ import annotations

import torch
from torch import nn

from hypergraph.nn.incidence import Incidence


class UniSAGEConv(nn.Module):
    """GraphSAGE on hypergraphs, UniGNN's UniSAGE (Huang and Yang, IJCAI 2021, section 3).

        h_e  = mean of x_j over the items j of e
        x_i' = Theta (x_i + mean of h_e over the hyperedges e of i) + b

    Both of UniGNN's aggregations are means. It is used instead of UniGCN and AllDeepSets because an
    item keeps its own features: an item in no hyperedge keeps its information, and neither degrees
    nor sizes change the scale. AllDeepSets would add two MLPs per layer for the same effect. Empty
    hyperedges are in no mean; with weights, the second mean is weighted.
    """

    def __init__(self, in_dim: int, out_dim: int, *, bias: bool = True):
        super().__init__()
        self.theta = nn.Linear(in_dim, out_dim, bias=bias)

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
        field_MD = (matrix.T @ x_ND) / incidence.size.clamp(min=1).to(x_ND.dtype)[:, None]
        total_N = incidence.degree.to(x_ND.dtype)
        if weight_M is not None:
            field_MD = field_MD * weight_M[:, None]
            total_N = (matrix @ weight_M[:, None])[:, 0]
        mean_ND = (matrix @ field_MD) / torch.where(total_N > 0, total_N, 1)[:, None]
        return self.theta(x_ND + mean_ND)
