"""The built-in encoders of typed graphs: RGCN, and attention by edge type.

Legend: n sources and S seeds of a node type, D features, H hidden, T node types, R edge types, B
bases, A attention heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import linear

from hvdtma.core.errors import UserError
from hvdtma.graph.typed.schema import EdgeType
from hvdtma.models.encoder import FirstLayer
from hvdtma.models.encoders import make_between
from hvdtma.sampling.typed_block import TypedBlock
from hvdtma.sampling.typed_hop import TypedHop

Rows = Mapping[str, torch.Tensor]
Hops = Mapping[EdgeType, TypedHop]
MAX_BASES = 8


class TypedLayeredEncoder(nn.Module):
    """Base class of typed encoders that are a stack of layers. A subclass defines `make_layer`.

    A linear map of each node type brings its features to the width of the layers. All nodes of a
    graph are embedded layer by layer, so no neighbourhood is expanded twice.

    Args:
        in_dims: the width of the features by node type.
        edge_types: triples (source type, relation, destination type).
        layers, hidden, norm, activation, dropout: as in `LayeredEncoder`; each node type has its
            own normalisation and activation.
    """

    typed: ClassVar[bool] = True
    first_layer: ClassVar[FirstLayer] = "mean"

    def __init__(
        self,
        in_dims: Mapping[str, int],
        edge_types: Sequence[tuple[str, str, str]],
        layers: int = 2,
        hidden: int = 256,
        norm: str = "layer",
        activation: str = "prelu",
        dropout: float = 0.0,
    ):
        super().__init__()
        if norm == "batch":
            raise UserError(
                "model.norm batch is not for typed graphs, as a step may have a single node of a "
                "type; valid: layer, none"
            )
        self.out_dim = hidden
        self.node_types = list(in_dims)
        self.edge_types = [EdgeType(*each) for each in edge_types]
        self.project = nn.ModuleList(nn.Linear(dim, hidden) for dim in in_dims.values())
        self.layers = nn.ModuleList(self.make_layer(hidden) for _ in range(layers))
        self.between = nn.ModuleList(
            nn.ModuleList(make_between(hidden, norm, activation, dropout) for _ in in_dims)
            for _ in range(layers - 1)
        )

    def make_layer(self, dim: int) -> nn.Module:
        """Make a layer. Its `forward` takes a `TypedBlock` and the sources' rows [n, dim] by type.

        It returns the seeds' rows [S, dim] by type. If `first_layer` is "mean", the layer also
        needs a method `combine`, which takes the nodes' own rows by node type, and a `TypedHop` by
        edge type.
        """
        raise NotImplementedError

    def forward(
        self, blocks: list[TypedBlock], x: Rows, first_hop: Hops | None = None
    ) -> dict[str, torch.Tensor]:
        """Embeddings [S, H] by node type; see `hvdtma.models.encoder.TypedEncoder`."""
        inputs: list[TypedBlock | Hops] = list(blocks)
        if first_hop is not None:
            inputs.insert(0, first_hop)
        h = dict(x)
        for number, neighbours in enumerate(inputs):
            h = self.layer(number, neighbours, h)
        return h

    def layer(self, number: int, neighbours: TypedBlock | Hops, h: Rows) -> dict[str, torch.Tensor]:
        """Apply layer `number`, and the normalisation, activation and dropout that follow it.

        The first layer takes features, and projects them.
        """
        if number == 0:
            h = {name: self._projected(name, rows) for name, rows in h.items()}
        layer: Any = self.layers[number]
        if isinstance(neighbours, TypedBlock):
            out = layer(neighbours, h)
        else:
            out = layer.combine(h, self._projected_hops(neighbours))
        if number < len(self.between):
            after: Any = self.between[number]
            modules = zip(self.node_types, after, strict=True)
            out = {name: module(out[name]) for name, module in modules if name in out}
        return out

    def _projected(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        return self.project[self.node_types.index(name)](rows)

    def _projected_hops(self, hops: Hops) -> dict[EdgeType, TypedHop]:
        """The means of projected features: a linear map of the mean, 0 without neighbours."""
        found = {}
        for kind, hop in hops.items():
            if len(hop.row):
                mean = self._projected(kind.src, hop.mean) * (hop.degree > 0)[:, None]
                found[kind] = TypedHop(hop.row, mean, hop.degree)
        return found


def own_rows(block: TypedBlock, h: Rows) -> dict[str, torch.Tensor]:
    """The rows of the seeds, which are the first of their type's sources."""
    return {name: h[name][:number] for name, number in block.num_dst.items() if name in h}


class RGCNLayer(nn.Module):
    """Relational graph convolution with basis decomposition (Schlichtkrull et al., ESWC 2018).

    h'_v = W_0 h_v + b + sum over edge types r of W_r times the mean over v's neighbours by r;
    W_r = sum over bases of a_rb V_b.

    Args:
        edge_types: R triples.
        dim: of inputs and outputs.
        bases: B.
    """

    def __init__(self, edge_types: Sequence[EdgeType], dim: int, bases: int):
        super().__init__()
        self.number_of = {kind: number for number, kind in enumerate(edge_types)}
        self.basis = nn.Parameter(torch.empty(bases, dim, dim))
        self.share = nn.Parameter(torch.empty(len(edge_types), bases))
        self.own = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.share)
        for matrix in self.basis:
            nn.init.xavier_uniform_(matrix)

    def combine(self, h: Rows, hops: Hops) -> dict[str, torch.Tensor]:
        """Outputs [S, H] by node type from own rows, and the mean by edge type."""
        out, weight_RHH = self._start(h)
        for kind, hop in hops.items():
            message = hop.mean @ weight_RHH[self.number_of[kind]]
            out[kind.dst] = out[kind.dst].index_add(0, hop.row, message)
        return out

    def forward(self, block: TypedBlock, h: Rows) -> dict[str, torch.Tensor]:
        own = own_rows(block, h)
        out, weight_RHH = self._start(own)
        for kind, each in block.items():
            message = each.mean(h[kind.src]) @ weight_RHH[self.number_of[kind]]
            out[kind.dst] = out[kind.dst] + message
        return out

    def _start(self, own: Rows) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The part of the outputs that is of the nodes themselves, and the matrices W_r."""
        weight_RHH = torch.einsum("rb,bij->rij", self.share, self.basis)
        return {name: self.own(rows) for name, rows in own.items()}, weight_RHH


class RGCN(TypedLayeredEncoder):
    """RGCN with projections of each node type's features (Schlichtkrull et al., ESWC 2018).

    Args:
        bases: B, matrices that the edge types share; 0: one for each type, 8 at most.
    """

    def __init__(
        self,
        in_dims: Mapping[str, int],
        edge_types: Sequence[tuple[str, str, str]],
        layers: int = 2,
        hidden: int = 256,
        norm: str = "layer",
        activation: str = "prelu",
        dropout: float = 0.0,
        bases: int = 0,
    ):
        if not isinstance(bases, int) or bases < 0:
            raise UserError(f"bases is {bases}; valid: 1 or more, or 0 for a number by edge types")
        self.bases = bases or min(len(edge_types), MAX_BASES)
        super().__init__(in_dims, edge_types, layers, hidden, norm, activation, dropout)

    def make_layer(self, dim: int) -> nn.Module:
        return RGCNLayer(self.edge_types, dim, self.bases)


class RGATLayer(nn.Module):
    """Graph attention within each edge type (Busbridge et al., arXiv 1904.05811), and own rows.

    h'_v = W_0 h_v + b + sum over edge types r of the attention-weighted sum of W_r h_u over v's
    neighbours u by r; the attention weights of each edge type add up to 1.
    """

    def __init__(self, edge_types: Sequence[EdgeType], dim: int, heads: int):
        super().__init__()
        self.heads, self.number_of = heads, {kind: at for at, kind in enumerate(edge_types)}
        self.weight = nn.Parameter(torch.empty(len(edge_types), dim, dim))
        self.attend_src = nn.Parameter(torch.empty(len(edge_types), heads, dim // heads))
        self.attend_dst = nn.Parameter(torch.empty(len(edge_types), heads, dim // heads))
        self.own = nn.Linear(dim, dim)
        for matrix in self.weight:
            nn.init.xavier_uniform_(matrix)
        nn.init.xavier_normal_(self.attend_src)
        nn.init.xavier_normal_(self.attend_dst)

    def forward(self, block: TypedBlock, h: Rows) -> dict[str, torch.Tensor]:
        own = own_rows(block, h)
        out = {name: self.own(rows) for name, rows in own.items()}
        for kind, each in block.items():
            number = self.number_of[kind]
            src_nAD = linear(h[kind.src], self.weight[number]).unflatten(1, (self.heads, -1))
            dst_SAD = linear(own[kind.dst], self.weight[number]).unflatten(1, (self.heads, -1))
            left_nA = (src_nAD * self.attend_src[number]).sum(-1)
            right_SA = (dst_SAD * self.attend_dst[number]).sum(-1)
            mixed = each.weighted_sum(src_nAD, each.softmax(left_nA, right_SA))
            out[kind.dst] = out[kind.dst] + mixed.flatten(1)
        return out


class RGAT(TypedLayeredEncoder):
    """Attention within each edge type; `hidden` must be a multiple of `heads`."""

    first_layer = "sampled"

    def __init__(
        self,
        in_dims: Mapping[str, int],
        edge_types: Sequence[tuple[str, str, str]],
        layers: int = 2,
        hidden: int = 256,
        heads: int = 4,
        norm: str = "layer",
        activation: str = "prelu",
        dropout: float = 0.0,
    ):
        if hidden % heads:
            raise UserError(f"hidden is {hidden}; it must be a multiple of heads, which is {heads}")
        self.heads = heads
        super().__init__(in_dims, edge_types, layers, hidden, norm, activation, dropout)

    def make_layer(self, dim: int) -> nn.Module:
        return RGATLayer(self.edge_types, dim, self.heads)
