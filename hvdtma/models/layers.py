"""Message-passing layers on blocks.

Legend: n sources of a block, s seeds (the first of the sources), D input width, H output width,
A attention heads.
"""

from __future__ import annotations

import torch
from torch import nn

from hvdtma.sampling.block import Block
from hvdtma.sampling.first_hop import FirstHop


class SAGELayer(nn.Module):
    """GraphSAGE with the mean aggregator (Hamilton et al., NeurIPS 2017, algorithm 1)."""

    def __init__(self, in_dim: int, out_dim: int):
        super().__init__()
        self.own = nn.Linear(in_dim, out_dim)
        self.neighbours = nn.Linear(in_dim, out_dim, bias=False)

    def combine(self, x_sD: torch.Tensor, hop: FirstHop) -> torch.Tensor:
        """Outputs [s, H] from the nodes' own rows and their neighbours' mean."""
        return self.own(x_sD) + self.neighbours(hop.mean)

    def forward(self, block: Block, h_nD: torch.Tensor) -> torch.Tensor:
        return self.combine(h_nD[: block.num_dst], sampled_hop(block, h_nD))


class GCNLayer(nn.Module):
    """GCN in its inductive form: the mean over a node and its neighbours, then one linear map.

    Kipf and Welling (ICLR 2017) with D^-1 (A + I) in place of the symmetric normalisation, as
    Hamilton et al. (NeurIPS 2017, section 3.3) use it with sampled neighbours.
    """

    def __init__(self, in_dim: int, out_dim: int):
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim)

    def combine(self, x_sD: torch.Tensor, hop: FirstHop) -> torch.Tensor:
        """Outputs [s, H] from the nodes' own rows, and their neighbours' mean and weight.

        A node counts as a neighbour of weight 1; without weights, all neighbours have weight 1.
        """
        weight_s1 = hop.total_weight[:, None]
        return self.linear((hop.mean * weight_s1 + x_sD) / (weight_s1 + 1))

    def forward(self, block: Block, h_nD: torch.Tensor) -> torch.Tensor:
        return self.combine(h_nD[: block.num_dst], sampled_hop(block, h_nD))


class GATLayer(nn.Module):
    """Graph attention (Velickovic et al., ICLR 2018) plus a linear map of the node itself.

    The linear map keeps the features of a node without sampled neighbours. An edge of weight w gets
    the attention of w edges.
    """

    def __init__(self, in_dim: int, out_dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(in_dim, out_dim, bias=False)
        self.own = nn.Linear(in_dim, out_dim)
        self.attend_src = nn.Parameter(torch.empty(heads, out_dim // heads))
        self.attend_dst = nn.Parameter(torch.empty(heads, out_dim // heads))
        nn.init.xavier_normal_(self.attend_src)
        nn.init.xavier_normal_(self.attend_dst)

    def forward(self, block: Block, h_nD: torch.Tensor) -> torch.Tensor:
        z_nAD = self.project(h_nD).unflatten(1, (self.heads, -1))
        left_nA = (z_nAD * self.attend_src).sum(-1)
        right_sA = (z_nAD[: block.num_dst] * self.attend_dst).sum(-1)
        mixed = block.weighted_sum(z_nAD, block.softmax(left_nA, right_sA))
        return mixed.flatten(1) + self.own(h_nD[: block.num_dst])


class LinearLayer(nn.Module):
    """A linear map of the node itself; neighbours are ignored."""

    def __init__(self, in_dim: int, out_dim: int):
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim)

    def forward(self, block: Block | None, h_nD: torch.Tensor) -> torch.Tensor:
        return self.linear(h_nD if block is None else h_nD[: block.num_dst])


def sampled_hop(block: Block, h_nD: torch.Tensor) -> FirstHop:
    """The mean over each seed's sampled neighbours, their number and their weight."""
    return FirstHop(block.mean(h_nD), block.in_degrees.to(h_nD.dtype), block.in_weight)
