"""The contract of a decoder, which scores a link from the embeddings of its ends.

A decoder is an `nn.Module`. Its class is called with the width H, with the number T of edge types
if its signature names `num_types`, with whether the store is undirected if it names `undirected`,
and with the user's `task.decoder_options`. `forward` takes the embeddings of source and destination
float [..., H] and the edge types int64 [...] or None. It returns scores [...]; links with higher
scores are more likely. The class attribute `symmetric` says that both directions of a link have the
same score; a class without it is taken for a directed one.

A decoder whose score is an inner product of a vector of the source and one of the destination may
say so, as `FactoredDecoder` does: by the class attribute `factored = True`, and by two methods
`source(u, edge_type)` and `destination(v)` that return these vectors [..., F]. Many pairs are then
scored by one matrix product.

Legend: Q links, H width of embeddings, F width of the vectors, T edge types.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeGuard

import torch
from torch import nn
from torch.nn.functional import normalize

from hvdtma.core.errors import UserError
from hvdtma.core.options import call_with_options
from hvdtma.core.train_config import TaskConfig
from hvdtma.models.activations import PReLU
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


def is_factored(decoder: nn.Module) -> TypeGuard[FactoredDecoder]:
    """Whether a decoder's score is an inner product of a vector of each end."""
    return bool(getattr(decoder, "factored", False))


class FactoredDecoder(nn.Module):
    """Base class of decoders whose score is an inner product of a vector of each end.

    A subclass with a `forward` of its own is not `factored`, unless it says so.
    """

    factored = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "forward" in vars(cls) and "factored" not in vars(cls):
            cls.factored = False

    def source(self, u_QH: torch.Tensor, type_Q: torch.Tensor | None = None) -> torch.Tensor:
        """The vectors of sources [Q, F]; type_Q int64, with edge types."""
        raise NotImplementedError

    def destination(self, v_QH: torch.Tensor) -> torch.Tensor:
        """The vectors of destinations [Q, F]."""
        return v_QH

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]; type_Q int64, with edge types."""
        return (self.source(u_QH, type_Q) * self.destination(v_QH)).sum(-1)


class DotDecoder(FactoredDecoder):
    """The inner product of both embeddings. It has no parameters; `dim` is not used."""

    symmetric = True

    def __init__(self, dim: int):
        super().__init__()

    def source(self, u_QH: torch.Tensor, type_Q: torch.Tensor | None = None) -> torch.Tensor:
        return u_QH


class CosineDecoder(FactoredDecoder):
    """The cosine of projected embeddings times a learned scale, plus a learned bias of each end.

    Both ends of an undirected link have the same projection and the same bias. In a directed store
    each end has its own. Each edge type scales the projected source by a vector of its own, as in
    `DistMultDecoder`.
    """

    def __init__(self, dim: int, num_types: int = 0, undirected: bool = False):
        super().__init__()
        self.symmetric = undirected
        ends = 1 if undirected else 2
        self.project = nn.ModuleList(nn.Linear(dim, dim) for _ in range(ends))
        self.bias = nn.ModuleList(nn.Linear(dim, 1) for _ in range(ends))
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.relation = nn.Parameter(torch.ones(num_types, dim)) if num_types else None

    def source(self, u_QH: torch.Tensor, type_Q: torch.Tensor | None = None) -> torch.Tensor:
        direction = normalize(self.project[0](u_QH), dim=-1) * self.log_scale.exp()
        if self.relation is not None:
            direction = direction * self.relation[type_Q]
        bias = self.bias[0](u_QH)
        return torch.cat([direction, bias, torch.ones_like(bias)], -1)

    def destination(self, v_QH: torch.Tensor) -> torch.Tensor:
        direction = normalize(self.project[-1](v_QH), dim=-1)
        bias = self.bias[-1](v_QH)
        return torch.cat([direction, torch.ones_like(bias), bias], -1)


class HadamardMLPDecoder(nn.Module):
    """An MLP on the elementwise product of both embeddings: Linear, PReLU, Linear to 1."""

    symmetric = True

    def __init__(self, dim: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, dim), PReLU(), nn.Linear(dim, 1))

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]."""
        return self.mlp(u_QH * v_QH).squeeze(-1)


class DistMultDecoder(FactoredDecoder):
    """A weighted inner product with a vector of weights per edge type (Yang et al., ICLR 2015).

    Raises UserError if the store has no edge types.
    """

    symmetric = True

    def __init__(self, dim: int, num_types: int):
        if not num_types:
            raise UserError(
                "decoder distmult needs a store with edge types; valid here: mlp, dot, cosine, "
                "concat, bilinear"
            )
        super().__init__()
        self.relation = nn.Parameter(torch.ones(num_types, dim))

    def source(self, u_QH: torch.Tensor, type_Q: torch.Tensor | None = None) -> torch.Tensor:
        return u_QH * self.relation[type_Q]


class ConcatMLPDecoder(nn.Module):
    """An MLP on the embeddings of source and destination, side by side: Linear, PReLU, Linear to 1.

    With edge types, each type adds a vector of its own to the hidden layer.
    """

    symmetric = False

    def __init__(self, dim: int, num_types: int = 0):
        super().__init__()
        self.hidden = nn.Linear(2 * dim, dim)
        self.out = nn.Sequential(PReLU(), nn.Linear(dim, 1))
        self.relation = nn.Parameter(torch.zeros(num_types, dim)) if num_types else None

    def forward(
        self, u_QH: torch.Tensor, v_QH: torch.Tensor, type_Q: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores [Q]; type_Q int64, with edge types."""
        hidden_QH = self.hidden(torch.cat([u_QH, v_QH], -1))
        if self.relation is not None:
            hidden_QH = hidden_QH + self.relation[type_Q]
        return self.out(hidden_QH).squeeze(-1)


class BilinearDecoder(FactoredDecoder):
    """u^T W v, with a matrix W per edge type (RESCAL, Nickel et al., ICML 2011)."""

    symmetric = False

    def __init__(self, dim: int, num_types: int = 0):
        super().__init__()
        self.relation = nn.Parameter(torch.empty(max(num_types, 1), dim, dim))
        nn.init.normal_(self.relation, std=1 / dim)  # scores of normalised embeddings are near 1

    def source(self, u_QH: torch.Tensor, type_Q: torch.Tensor | None = None) -> torch.Tensor:
        if type_Q is None:
            return u_QH @ self.relation[0]
        vector_QH = torch.zeros_like(u_QH)
        for kind in type_Q.unique():  # a matrix for each link would not fit in memory
            of_kind = type_Q == kind
            vectors = u_QH[of_kind] @ self.relation[kind]
            vector_QH = vector_QH.index_put((of_kind,), vectors.to(vector_QH.dtype))
        return vector_QH
