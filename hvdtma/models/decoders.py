"""Decoders: from two embeddings to the score of a link.

A decoder is an `nn.Module` whose class is called with H, the number T of edge types if its
signature names `num_types`, and the user's `task.decoder_options`. Its `forward` takes the
embeddings of both ends float [..., H] and the edge types int64 [...] or None, and returns scores
[...]; a higher score is a likelier link.

Legend: Q links, H width, T edge types.
"""

from __future__ import annotations

import torch
from torch import nn

from hvdtma.core.errors import UserError


class DotDecoder(nn.Module):
    """The inner product; `dim` is not used."""

    def __init__(self, dim: int):
        super().__init__()

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
    """One diagonal form per edge type (Yang et al., ICLR 2015).

    Raises UserError without edge types.
    """

    def __init__(self, dim: int, num_types: int):
        if not num_types:
            raise UserError("decoder distmult needs a store with edge types; valid here: mlp, dot")
        super().__init__()
        self.relation = nn.Parameter(torch.ones(num_types, dim))

    def forward(self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor) -> torch.Tensor:
        """Scores [Q]; type_Q int64."""
        return (u_QH * self.relation[type_Q] * v_QH).sum(-1)
