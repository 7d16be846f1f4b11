"""The stored first hop, and the exact subtraction of a batch's own links from it.

Legend: n nodes, D features, Q pairs of nodes, r rows that change.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class FirstHop(NamedTuple):
    """Each node's neighbourhood in the whole training graph, as the first layer reads it.

    Attributes:
        mean: float [n, D] mean of the in-neighbours' features; 0 for a node without in-neighbours.
        degree: float [n] number of in-neighbours.
    """

    mean: torch.Tensor
    degree: torch.Tensor

    def to(self, device: torch.device) -> FirstHop:
        return FirstHop(self.mean.to(device), self.degree.to(device))


def subtract_edges(
    hop: FirstHop,
    x_nD: torch.Tensor,
    src_Q: torch.Tensor,
    dst_Q: torch.Tensor,
    count_Q: torch.Tensor,
) -> FirstHop:
    """The first hop of the graph without the edges src -> dst.

    Args:
        x_nD: features of the same n nodes.
        src_Q, dst_Q: int64 positions among the n nodes; each pair (src, dst) occurs once.
        count_Q: number of parallel edges of each pair.

    Exact up to rounding: mean' = (degree * mean - sum of x_src) / (degree - count).
    """
    rows_r, row_Q = torch.unique(dst_Q, return_inverse=True)  # only these rows change
    old_degree_r = hop.degree[rows_r]
    total_rD = hop.mean[rows_r] * old_degree_r[:, None]
    count_Q = count_Q.to(hop.degree.dtype)
    total_rD.index_add_(0, row_Q, -count_Q[:, None] * x_nD[src_Q].to(total_rD.dtype))
    degree_r = old_degree_r.index_add(0, row_Q, -count_Q)
    mean_rD = torch.where(degree_r[:, None] > 0, total_rD / degree_r.clamp(min=1)[:, None], 0.0)
    return FirstHop(
        hop.mean.index_copy(0, rows_r, mean_rD), hop.degree.index_copy(0, rows_r, degree_r)
    )
