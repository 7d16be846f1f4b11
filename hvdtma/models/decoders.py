"""The contract of a decoder, which scores a link from the embeddings of its ends.

A decoder is an `nn.Module`. Its class is called with the width H, with the number T of edge types
if its signature names `num_types`, and with the user's `task.decoder_options`. `forward` takes the
embeddings of both ends float [..., H] and the edge types int64 [...] or None. It returns scores
[...]; links with higher scores are more likely.

Legend: Q links, H width, T edge types.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from hvdtma.core.errors import UserError
from hvdtma.core.options import call_with_options
from hvdtma.core.train_config import TaskConfig
from hvdtma.models.contract import check_module, shape_of


def check_decoder(name: str, target: Any) -> None:
    """Raises UserError if a class is not a decoder."""
    check_module("decoder", name, target, ("u", "v", "edge_type"))


def make_decoder(config: TaskConfig, dim: int, num_types: int) -> nn.Module:
    """Make the config's decoder for embeddings of width `dim`.

    Raises UserError for an option that the decoder does not take. The decoder raises UserError when
    its output is not a score for each link.
    """
    decoder = call_with_options(
        "decoder",
        config.decoder,
        config.decoder_options,
        dim,
        defaults={"num_types": num_types},
    )
    decoder.register_forward_hook(partial(_check_output, config.decoder))
    return decoder


def _check_output(name: str, decoder: Any, arguments: tuple[Any, ...], output: Any) -> None:
    """A forward hook. Raises UserError for an output that is not [...]."""
    expected = arguments[0].shape[:-1] if arguments else None
    if torch.is_tensor(output) and expected in (None, output.shape):
        return
    raise UserError(
        f"the output of the decoder '{name}' is {shape_of(output)}; it must be "
        f"{list(expected or [])}: a score for each link"
    )


class DotDecoder(nn.Module):
    """The inner product of both embeddings. It has no parameters; `dim` is not used."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]."""
        return (u_QH * v_QH).sum(-1)


class HadamardMLPDecoder(nn.Module):
    """An MLP on the elementwise product of both embeddings: Linear, PReLU, Linear to 1."""

    def __init__(self, dim: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.PReLU(), nn.Linear(dim, 1))

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]."""
        return self.mlp(u_QH * v_QH).squeeze(-1)


class DistMultDecoder(nn.Module):
    """A weighted inner product with a vector of weights per edge type (Yang et al., ICLR 2015).

    Raises UserError if the store has no edge types.
    """

    def __init__(self, dim: int, num_types: int):
        if not num_types:
            raise UserError("decoder distmult needs a store with edge types; valid here: mlp, dot")
        super().__init__()
        self.relation = nn.Parameter(torch.ones(num_types, dim))

    def forward(self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor) -> torch.Tensor:
        """Scores [Q]; type_Q int64."""
        return (u_QH * self.relation[type_Q] * v_QH).sum(-1)
