"""The input of an encoder: sampled blocks, features and the first hop.

A held-out target link of a batch is taken out of messages in two places: a sampler leaves it out
of its blocks, and `neighbourhood_of` takes it out of the stored first hop.

Legend: S seeds, n input nodes, D features, Q pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hvdtma.sampling.dgl_backend import Block, pair_keys
from hvdtma.sampling.first_hop import FirstHop, without_pairs
from hvdtma.sampling.shard import Shard


@dataclass
class Neighbourhood:
    """The arguments of an encoder's `forward`, for S distinct seeds.

    Attributes:
        blocks: one per sampled layer, input layer first.
        x: float32 [n, D] features of the input nodes; the seeds are the first S of them.
        first_hop: the first hop of the input nodes, or None.
    """

    blocks: list[Block]
    x: torch.Tensor
    first_hop: FirstHop | None

    def to(self, device: torch.device) -> Neighbourhood:
        if device.type == "cpu":
            return self
        first_hop = None if self.first_hop is None else self.first_hop.to(device)
        return Neighbourhood([b.to(device) for b in self.blocks], self.x.to(device), first_hop)


@dataclass(frozen=True)
class Targets:
    """The links of a batch that no message may pass along: local numbers, int64 [Q]."""

    src: np.ndarray
    dst: np.ndarray

    def contains(self, src_E: torch.Tensor, dst_E: torch.Tensor) -> torch.Tensor:
        """Bool [E]: whether the edge src -> dst, local numbers, is a target in either direction."""
        num_nodes = int(max(self.src.max(initial=0), self.dst.max(initial=0))) + 1
        num_nodes = max(num_nodes, int(src_E.max()) + 1, int(dst_E.max()) + 1) if len(src_E) else 1
        ends = torch.from_numpy(self.src), torch.from_numpy(self.dst)
        return torch.isin(pair_keys(src_E, dst_E, num_nodes), pair_keys(*ends, num_nodes))


def neighbourhood_of(
    shard: Shard,
    blocks: list[Block],
    nodes_n: torch.Tensor,
    targets: Targets | None = None,
) -> Neighbourhood:
    """Add features and the first hop to sampled blocks.

    Args:
        blocks: input layer first; no edge between target pairs is in them.
        nodes_n: int64, local numbers of the first block's sources; of the seeds, without blocks.
        targets: links that are also taken out of the first hop, exactly, in both directions.
    """
    x_nD = shard.features(nodes_n)
    first_hop = shard.first_hop(nodes_n)
    if first_hop is not None and targets is not None:
        first_hop = _without_targets(first_hop, x_nD, shard, nodes_n, targets)
    return Neighbourhood(blocks, x_nD, first_hop)


def _without_targets(
    hop: FirstHop, x_nD: torch.Tensor, shard: Shard, nodes: torch.Tensor, targets: Targets
) -> FirstHop:
    """Take the target pairs out of the first hop, both directions, parallel edges and all."""
    src_Q, dst_Q = np.r_[targets.src, targets.dst], np.r_[targets.dst, targets.src]
    distinct = np.unique(src_Q * np.int64(shard.num_nodes) + dst_Q)
    src_Q, dst_Q = np.divmod(distinct, shard.num_nodes)
    count_Q = shard.csc.count_edges(src_Q, dst_Q)
    src_Q, dst_Q, count_Q = (values[count_Q > 0] for values in (src_Q, dst_Q, count_Q))
    ascending, order = torch.sort(nodes)
    src_at, dst_at = (
        order[torch.searchsorted(ascending, torch.from_numpy(ends))] for ends in (src_Q, dst_Q)
    )
    return without_pairs(hop, x_nD, src_at, dst_at, torch.from_numpy(count_Q))
