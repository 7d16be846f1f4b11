"""The built-in encoders: layers with normalisation, activation and dropout between them.

Legend: n input nodes, S seeds, D features, H hidden.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn

from hvdtma.core.errors import UserError
from hvdtma.models.activations import PReLU
from hvdtma.models.encoder import FirstLayer
from hvdtma.models.layers import GATLayer, GCNLayer, LinearLayer, SAGELayer
from hvdtma.sampling.block import Block
from hvdtma.sampling.first_hop import FirstHop

NORMS = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}
ACTIVATIONS = {"prelu": PReLU, "relu": nn.ReLU, "gelu": nn.GELU}


class LayeredEncoder(nn.Module):
    """Base class of encoders that are a stack of layers. A subclass defines `make_layer`.

    All nodes of a graph are embedded layer by layer, so no neighbourhood is expanded twice.

    Args:
        in_dim: width of the features.
        layers: number of layers.
        hidden: width of every layer and of the embedding.
        norm: normalisation between layers: `layer`, `batch` or `none`.
        activation: activation between layers: `prelu`, `relu` or `gelu`.
        dropout: dropout probability between layers.
    """

    first_layer: ClassVar[FirstLayer] = "mean"

    def __init__(
        self,
        in_dim: int,
        layers: int = 2,
        hidden: int = 256,
        norm: str = "layer",
        activation: str = "prelu",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.out_dim = hidden
        widths = list(pairwise([in_dim] + [hidden] * layers))
        self.layers = nn.ModuleList(self.make_layer(*pair) for pair in widths)
        self.between = nn.ModuleList(
            make_between(hidden, norm, activation, dropout) for _ in widths[1:]
        )

    def make_layer(self, in_dim: int, out_dim: int) -> nn.Module:
        """Make a layer. Its `forward` takes a block and the sources' rows [n, in_dim].

        If `first_layer` is "mean", the layer also needs a method `combine`, which takes the nodes'
        own rows and a `FirstHop`.
        """
        raise NotImplementedError

    def forward(
        self, blocks: list[Block], x_nD: torch.Tensor, first_hop: FirstHop | None = None
    ) -> torch.Tensor:
        """Embeddings [S, H]; see `hvdtma.models.encoder.Encoder`."""
        inputs: list[Block | FirstHop | None] = list(blocks)
        if first_hop is not None:
            inputs.insert(0, first_hop)
        if self.first_layer == "none":
            inputs = [None] * len(self.layers)
        h = x_nD
        for number, neighbours in enumerate(inputs):
            h = self.layer(number, neighbours, h)
        return h

    def layer(
        self, number: int, neighbours: Block | FirstHop | None, h: torch.Tensor
    ) -> torch.Tensor:
        """Apply layer `number`, and the normalisation, activation and dropout that follow it."""
        layer: Any = self.layers[number]
        if isinstance(neighbours, FirstHop):
            out = layer.combine(h, neighbours)
        else:
            out = layer(neighbours, h)
        return self.between[number](out) if number < len(self.between) else out


class SAGE(LayeredEncoder):
    """GraphSAGE with the mean aggregator (Hamilton et al., NeurIPS 2017)."""

    def make_layer(self, in_dim: int, out_dim: int) -> nn.Module:
        return SAGELayer(in_dim, out_dim)


class GCN(LayeredEncoder):
    """GCN in its inductive form: the mean over a node and its neighbours (`GCNLayer`)."""

    def make_layer(self, in_dim: int, out_dim: int) -> nn.Module:
        return GCNLayer(in_dim, out_dim)


class GAT(LayeredEncoder):
    """Graph attention (Velickovic et al., ICLR 2018); `hidden` must be a multiple of `heads`."""

    first_layer = "sampled"

    def __init__(
        self,
        in_dim: int,
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
        super().__init__(in_dim, layers, hidden, norm, activation, dropout)

    def make_layer(self, in_dim: int, out_dim: int) -> nn.Module:
        return GATLayer(in_dim, out_dim, self.heads)


class MLP(LayeredEncoder):
    """Linear layers that read no neighbours: the baseline that uses features only."""

    first_layer = "none"

    def make_layer(self, in_dim: int, out_dim: int) -> nn.Module:
        return LinearLayer(in_dim, out_dim)


def make_between(hidden: int, norm: str, activation: str, dropout: float) -> nn.Module:
    """Normalisation, activation and dropout between two layers."""
    norms = [NORMS[norm](hidden)] if norm != "none" else []
    return nn.Sequential(*norms, ACTIVATIONS[activation](), nn.Dropout(dropout))
