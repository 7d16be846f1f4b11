"""The encoder: layers with normalisation, activation and dropout between.

Legend: n input nodes, S seeds, D features, H hidden.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from hvdtma.core.train_config import ModelConfig
from hvdtma.models.layers import GATLayer, GCNLayer, LinearLayer, SAGELayer
from hvdtma.sampling.dgl_backend import Block
from hvdtma.sampling.first_hop import FirstHop


class Encoder(nn.Module):
    """Embeds nodes from their features and neighbourhoods.

    Args:
        config: which layers.
        in_dim: width of the features.
        first_hop: whether the first layer reads a `FirstHop` instead of sampled neighbours.

    Attributes:
        needs_neighbours: whether there is message passing at all.
        takes_means: whether a layer reads no more of its neighbours than a `FirstHop` says.
    """

    def __init__(self, config: ModelConfig, in_dim: int, *, first_hop: bool):
        super().__init__()
        self.first_hop = first_hop
        self.needs_neighbours = config.encoder != "mlp"
        self.takes_means = config.encoder in ("sage", "gcn")
        self.out_dim = config.hidden
        widths = [in_dim] + [config.hidden] * config.layers
        pairs = list(pairwise(widths))
        self.layers = nn.ModuleList(make_layer(config, *pair) for pair in pairs)
        self.between = nn.ModuleList(make_between(config) for _ in pairs[1:])

    @property
    def num_blocks(self) -> int:
        """Blocks that `forward` takes: hops that are sampled."""
        return len(self.layers) - self.first_hop if self.needs_neighbours else 0

    def forward(
        self, blocks: list[Block], x_nD: torch.Tensor, hop: FirstHop | None = None
    ) -> torch.Tensor:
        """Embeddings [S, H] of the last block's seeds.

        Args:
            blocks: one per sampled hop, outermost first.
            x_nD: features of the first block's sources (of the seeds, without blocks).
            hop: the same nodes' first hop; given exactly if the encoder was made for it.
        """
        steps: list[Block | FirstHop | None] = list(blocks)
        if hop is not None:
            steps.insert(0, hop)
        if not self.needs_neighbours:
            steps = [None] * len(self.layers)
        h = x_nD
        for number, step in enumerate(steps):
            h = self.layer(number, step, h)
        return h

    def layer(self, number: int, step: Block | FirstHop | None, h: torch.Tensor) -> torch.Tensor:
        """One layer, with what follows it: on a block, or on a first hop."""
        layer: Any = self.layers[number]
        out = layer.combine(h, step) if isinstance(step, FirstHop) else layer(step, h)
        return self.between[number](out) if number < len(self.between) else out


def make_layer(config: ModelConfig, in_dim: int, out_dim: int) -> nn.Module:
    """The config's layer."""
    if config.encoder == "gat":
        return GATLayer(in_dim, out_dim, config.heads)
    kinds = {"sage": SAGELayer, "gcn": GCNLayer, "mlp": LinearLayer}
    return kinds[config.encoder](in_dim, out_dim)


def make_between(config: ModelConfig) -> nn.Module:
    """What stands between two layers: normalisation, activation, dropout."""
    norms = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}
    activations = {"prelu": nn.PReLU, "relu": nn.ReLU, "gelu": nn.GELU}
    norm = [norms[config.norm](config.hidden)] if config.norm != "none" else []
    return nn.Sequential(*norm, activations[config.activation](), nn.Dropout(config.dropout))
