"""The input of an encoder: sampled blocks, features and the first hop.

The links that a batch predicts (`Targets`) are removed from its messages in two places: the sampler
leaves them out of the blocks, and `neighbourhood_of` subtracts them from the stored first hop.
Validation and test links need no such step: they are not in the training graph at all.
`hvdtma.graph.splits` chooses them, and `hvdtma.graph.builder.edges` leaves them out of the graph.

Legend: S seeds, n input nodes, D features, Q pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from hvdtma.sampling.block import Block
from hvdtma.sampling.draws import Exclusion
from hvdtma.sampling.first_hop import FirstHop, subtract_edges
from hvdtma.sampling.shard import Shard


@dataclass
class Neighbourhood:
    """The arguments of an encoder's `forward`, for S distinct seeds.

    Attributes:
        blocks: one per sampled layer, input layer first.
        x: float32 [n, D] features of the input nodes; the seeds are the first S of them.
        first_hop: the first hop of the input nodes, or None.
        nodes: int64 [n] local numbers of the input nodes. The sources of every block are the first
            ones of them.
    """

    blocks: list[Block]
    x: torch.Tensor
    first_hop: FirstHop | None
    nodes: torch.Tensor

    def embedded_by(self, encoder: Any) -> torch.Tensor:
        """The embeddings [S, H] of the seeds."""
        return encoder(self.blocks, self.x, self.first_hop)

    def to(self, device: torch.device) -> Neighbourhood:
        """The neighbourhood on a device; `nodes` stay. The caller need not wait for the copies."""
        if device.type == "cpu":
            return self
        first_hop = self.first_hop
        if first_hop is not None:
            first_hop = first_hop.to(device, non_blocking=True)
        blocks = [block.to(device, non_blocking=True) for block in self.blocks]
        x_nD = self.x.to(device, non_blocking=True)
        return Neighbourhood(blocks, x_nD, first_hop, self.nodes)

    def pin_memory(self) -> Neighbourhood:
        """The same in page-locked memory, from which copies to a GPU need not wait."""
        first_hop = None if self.first_hop is None else self.first_hop.pin_memory()
        blocks = [block.pin_memory() for block in self.blocks]
        return Neighbourhood(blocks, self.x.pin_memory(), first_hop, self.nodes)


@dataclass(frozen=True)
class Targets:
    """The links that a batch predicts, as local node numbers int64 [Q]. No message may use them."""

    src: np.ndarray
    dst: np.ndarray

    @cached_property
    def excluded(self) -> Exclusion:
        """The edges between the pairs, in both directions."""
        num_nodes = int(max(self.src.max(initial=0), self.dst.max(initial=0))) + 1
        return Exclusion.of(self.src, self.dst, num_nodes)

    def contains(self, src_E: torch.Tensor, dst_E: torch.Tensor) -> torch.Tensor:
        """Whether each edge (local numbers) is a target, in either direction: bool [E]."""
        num_nodes = int(max(self.src.max(initial=0), self.dst.max(initial=0))) + 1
        num_nodes = max(num_nodes, int(src_E.max()) + 1, int(dst_E.max()) + 1) if len(src_E) else 1
        ends = torch.from_numpy(self.src), torch.from_numpy(self.dst)
        return torch.isin(_pair_keys(src_E, dst_E, num_nodes), _pair_keys(*ends, num_nodes))


def _pair_keys(src_E: torch.Tensor, dst_E: torch.Tensor, num_nodes: int) -> torch.Tensor:
    """One int64 per pair of nodes, the same for both directions."""
    src_E, dst_E = src_E.long(), dst_E.long()
    return torch.minimum(src_E, dst_E) * num_nodes + torch.maximum(src_E, dst_E)


def neighbourhood_of(
    shard: Shard,
    blocks: list[Block],
    nodes_n: torch.Tensor,
    targets: Targets | None = None,
) -> Neighbourhood:
    """Add features and the first hop to sampled blocks.

    Args:
        blocks: input layer first, without edges between target pairs.
        nodes_n: int64 local numbers of the first block's sources, or of the seeds if there are no
            blocks.
        targets: links that are subtracted from the first hop, exactly and in both directions.
    """
    x_nD = shard.features(nodes_n)
    first_hop = shard.first_hop(nodes_n)
    if first_hop is not None and targets is not None:
        first_hop = _without_targets(first_hop, x_nD, shard, nodes_n, targets)
    return Neighbourhood(blocks, x_nD, first_hop, nodes_n)


def _without_targets(
    hop: FirstHop, x_nD: torch.Tensor, shard: Shard, nodes: torch.Tensor, targets: Targets
) -> FirstHop:
    """Subtract the target pairs from the first hop: both directions, and all parallel edges."""
    src_Q, dst_Q = targets.excluded.pairs()
    count_Q = shard.csc.count_edges(src_Q, dst_Q)
    src_Q, dst_Q, count_Q = (values[count_Q > 0] for values in (src_Q, dst_Q, count_Q))
    ascending, order = torch.sort(nodes)
    src_row_Q, dst_row_Q = (
        order[torch.searchsorted(ascending, torch.from_numpy(ends))] for ends in (src_Q, dst_Q)
    )
    weights = None
    if shard.csc.weight is not None:
        weights = torch.from_numpy(shard.csc.edge_weights(src_Q, dst_Q))
    assert shard.hop is not None  # `hop` was taken from it
    rounding = torch.finfo(shard.hop.mean.dtype).eps
    counts = torch.from_numpy(count_Q)
    return subtract_edges(hop, x_nD, src_row_Q, dst_row_Q, counts, weights, rounding)
