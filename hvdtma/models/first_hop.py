"""The stored first neighbourhood, and taking a batch's own links out of it exactly.

Legend: n nodes, D features, Q pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class FirstHop(NamedTuple):
    """What a first layer knows of its nodes' neighbours over the whole training graph.

    Attributes:
        mean: float [n, D] mean of the in-neighbours' features, 0 without any.
        degree: float [n] how many there are.
    """

    mean: torch.Tensor
    degree: torch.Tensor

    def to(self, device: torch.device) -> FirstHop:
        return FirstHop(self.mean.to(device), self.degree.to(device))


def without_pairs(
    hop: FirstHop, x_nD: torch.Tensor, src_Q: torch.Tensor, dst_Q: torch.Tensor, count_Q
) -> FirstHop:
    """The first hop over the graph without the edges src -> dst, each `count` times.

    Args:
        x_nD: the same n nodes' features.
        src_Q, dst_Q: int64 positions among the n nodes; a (src, dst) stands once.
        count_Q: how many parallel edges of each pair the graph has.

    Exact up to rounding: mean' = (degree * mean - sum of x_src) / (degree - count).
    """
    count_Q = count_Q.to(hop.degree.dtype)
    removed_n = torch.zeros_like(hop.degree).index_add_(0, dst_Q, count_Q)
    total_nD = hop.mean * hop.degree[:, None]
    total_nD.index_add_(0, dst_Q, -count_Q[:, None] * x_nD[src_Q].to(total_nD.dtype))
    degree_n = hop.degree - removed_n
    mean_nD = total_nD / degree_n.clamp(min=1)[:, None]
    return FirstHop(torch.where(degree_n[:, None] > 0, mean_nD, 0.0), degree_n)
