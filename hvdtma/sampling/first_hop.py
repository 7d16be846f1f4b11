"""The stored first hop, and the exact subtraction of a batch's own links from it.

Legend: n nodes, D features, Q pairs of nodes, r rows that change.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

MOST_ERROR = 0.25  # of a feature's size, in a mean from which heavy edges were subtracted


class FirstHop(NamedTuple):
    """Each node's neighbourhood in the whole training graph, as the first layer reads it.

    Attributes:
        mean: float [n, D] (weighted) mean of the in-neighbours' features; 0 for a node without
            in-neighbours.
        degree: float [n] number of in-neighbours.
        weight: float64 [n] sum of the in-edges' weights; None without weights.
    """

    mean: torch.Tensor
    degree: torch.Tensor
    weight: torch.Tensor | None = None

    @property
    def total_weight(self) -> torch.Tensor:
        """The weight of all in-edges together, of the mean's dtype [n]: without weights, degree."""
        return (self.degree if self.weight is None else self.weight).to(self.mean.dtype)

    def take(self, nodes: torch.Tensor) -> FirstHop:
        """The rows of some nodes, with means in float32."""
        weight = None if self.weight is None else self.weight[nodes]
        return FirstHop(self.mean.index_select(0, nodes).float(), self.degree[nodes], weight)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> FirstHop:
        """The first hop on a device."""
        return FirstHop._make(
            None if field is None else field.to(device, non_blocking=non_blocking) for field in self
        )

    def pin_memory(self) -> FirstHop:
        """The first hop in page-locked memory, from which copies to a GPU need not wait."""
        return FirstHop._make(None if field is None else field.pin_memory() for field in self)


def subtract_edges(
    hop: FirstHop,
    x_nD: torch.Tensor,
    src_Q: torch.Tensor,
    dst_Q: torch.Tensor,
    count_Q: torch.Tensor,
    weight_Q: torch.Tensor | None = None,
    rounding: float = torch.finfo(torch.float32).eps,
) -> FirstHop:
    """The first hop of the graph without the edges src -> dst.

    Args:
        x_nD: features of the same n nodes.
        src_Q, dst_Q: int64 positions among the n nodes; each pair (src, dst) occurs once.
        count_Q: number of parallel edges of each pair.
        weight_Q: float64, the sum of their weights; None without weights.
        rounding: the relative rounding error of the stored means.

    Exact up to rounding: mean' = (w * mean - sum of w_src x_src) / (w - sum of w_src), where w is
    the weight of all in-edges. Without weights, each edge counts 1.

    If the edges that stay have only a tiny share of the weight, the difference would be mostly
    rounding error (`MOST_ERROR`); such a row is that of a node without neighbours.
    """
    rows_r, row_Q = torch.unique(dst_Q, return_inverse=True)  # only these rows change
    count_Q = count_Q.to(hop.degree.dtype)
    degree_r = hop.degree[rows_r].index_add(0, row_Q, -count_Q)
    old_r = hop.degree[rows_r] if hop.weight is None else hop.weight[rows_r]
    taken_Q = count_Q if weight_Q is None else weight_Q.to(old_r.dtype)
    left_r = old_r.index_add(0, row_Q, -taken_Q)
    if hop.weight is not None:
        known_r = (degree_r > 0) & (left_r > old_r * (rounding / MOST_ERROR))
        degree_r, left_r = degree_r * known_r, left_r * known_r
    total_rD = hop.mean[rows_r] * old_r[:, None]
    total_rD.index_add_(0, row_Q, -taken_Q[:, None] * x_nD[src_Q].to(total_rD.dtype))
    divisor_r = torch.where(left_r > 0, left_r, 1.0)
    mean_rD = torch.where(left_r[:, None] > 0, total_rD / divisor_r[:, None], 0.0)
    return FirstHop(
        hop.mean.index_copy(0, rows_r, mean_rD.to(hop.mean.dtype)),
        hop.degree.index_copy(0, rows_r, degree_r),
        None if hop.weight is None else hop.weight.index_copy(0, rows_r, left_r),
    )
