"""The contract of a decoder, which scores a link from the embeddings of its ends.

A decoder is an `nn.Module`. Its class is called with the width H, with the number T of edge types
if its signature names `num_types`, with whether the store is undirected if it names `undirected`,
and with the user's `task.decoder_options`. `forward` takes the embeddings of source and destination
float [..., H] and the edge types int64 [...] or None. It returns scores [...]; links with higher
scores are more likely. The class attribute `symmetric` says that both directions of a link have the
same score; a class without it is taken for a directed one.

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
    """Raises UserError if a class is not a decoder; a function may choose and make one."""
    if isinstance(target, type):
        check_module("decoder", name, target, ("u", "v", "edge_type"))


def make_decoder(config: TaskConfig, dim: int, num_types: int, undirected: bool) -> nn.Module:
    """Make the config's decoder for embeddings of width `dim`.

    Raises UserError for an option that the decoder does not take. The decoder raises UserError when
    its output is not a score for each link.
    """
    decoder = call_with_options(
        "decoder",
        config.decoder,
        config.decoder_options,
        dim,
        defaults={"num_types": num_types, "undirected": undirected},
    )
    if not isinstance(decoder, nn.Module):
        raise UserError(
            f"the decoder '{config.decoder}' returned a {type(decoder).__name__}, which is not a "
            "torch.nn.Module (docs/extending.md)"
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


def chosen_decoder(undirected: bool) -> str:
    """The name of the decoder that `auto` stands for."""
    return "mlp" if undirected else "concat"


def auto(dim: int, *, undirected: bool, num_types: int = 0) -> nn.Module:
    """The decoder that is chosen by default: `mlp` for undirected stores, else `concat`."""
    return HadamardMLPDecoder(dim) if undirected else ConcatMLPDecoder(dim, num_types)


class DotDecoder(nn.Module):
    """The inner product of both embeddings. It has no parameters; `dim` is not used."""

    symmetric = True

    def __init__(self, dim: int):
        super().__init__()

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]."""
        return (u_QH * v_QH).sum(-1)


class HadamardMLPDecoder(nn.Module):
    """An MLP on the elementwise product of both embeddings: Linear, PReLU, Linear to 1."""

    symmetric = True

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

    symmetric = True

    def __init__(self, dim: int, num_types: int):
        if not num_types:
            raise UserError(
                "decoder distmult needs a store with edge types; valid here: mlp, dot, "
                "concat, bilinear"
            )
        super().__init__()
        self.relation = nn.Parameter(torch.ones(num_types, dim))

    def forward(self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor) -> torch.Tensor:
        """Scores [Q]; type_Q int64."""
        return (u_QH * self.relation[type_Q] * v_QH).sum(-1)


class ConcatMLPDecoder(nn.Module):
    """An MLP on the embeddings of source and destination, side by side: Linear, PReLU, Linear to 1.

    With edge types, each type adds a vector of its own to the hidden layer.
    """

    symmetric = False

    def __init__(self, dim: int, num_types: int = 0):
        super().__init__()
        self.hidden = nn.Linear(2 * dim, dim)
        self.out = nn.Sequential(nn.PReLU(), nn.Linear(dim, 1))
        self.relation = nn.Parameter(torch.zeros(num_types, dim)) if num_types else None

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]; type_Q int64, with edge types."""
        hidden_QH = self.hidden(torch.cat([u_QH, v_QH], -1))
        if self.relation is not None:
            hidden_QH = hidden_QH + self.relation[type_Q]
        return self.out(hidden_QH).squeeze(-1)


class BilinearDecoder(nn.Module):
    """u^T W v, with a matrix W per edge type (RESCAL, Nickel et al., ICML 2011)."""

    symmetric = False

    def __init__(self, dim: int, num_types: int = 0):
        super().__init__()
        self.relation = nn.Parameter(torch.empty(max(num_types, 1), dim, dim))
        nn.init.normal_(self.relation, std=1 / dim)  # scores of normalised embeddings are near 1

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]; type_Q int64, with edge types."""
        if type_Q is None:
            return (u_QH @ self.relation[0] * v_QH).sum(-1)
        score_Q = torch.zeros(type_Q.shape, dtype=u_QH.dtype, device=u_QH.device)
        for kind in type_Q.unique():  # a matrix for each link would not fit in memory
            of_kind = type_Q == kind
            scores = (u_QH[of_kind] @ self.relation[kind] * v_QH[of_kind]).sum(-1)
            score_Q = score_Q.index_put((of_kind,), scores.to(score_Q.dtype))
        return score_Q
