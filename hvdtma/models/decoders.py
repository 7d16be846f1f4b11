"""Decoders: from two embeddings to the score of a link.

Legend: Q links, H width, T edge types.
"""

from __future__ import annotations

import torch
from torch import nn

from hvdtma.core.errors import UserError


class DotDecoder(nn.Module):
    """The inner product."""

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]."""
        return (u_QH * v_QH).sum(-1)


class HadamardMLPDecoder(nn.Module):
    """An MLP on the elementwise product: Linear, PReLU, Linear to 1."""

    def __init__(self, dim: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.PReLU(), nn.Linear(dim, 1))

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]."""
        return self.mlp(u_QH * v_QH).squeeze(-1)


class DistMultDecoder(nn.Module):
    """One diagonal form per edge type (Yang et al., ICLR 2015)."""

    def __init__(self, dim: int, num_types: int):
        super().__init__()
        self.relation = nn.Parameter(torch.ones(num_types, dim))

    def forward(self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor) -> torch.Tensor:
        """Scores [Q]; type_Q int64."""
        return (u_QH * self.relation[type_Q] * v_QH).sum(-1)


def make_decoder(name: str, dim: int, num_types: int) -> nn.Module:
    """The decoder of that name; raises UserError if DistMult finds no edge types."""
    if name == "dot":
        return DotDecoder()
    if name == "mlp":
        return HadamardMLPDecoder(dim)
    if not num_types:
        raise UserError("decoder distmult needs a store with edge types; valid here: mlp, dot")
    return DistMultDecoder(dim, num_types)
