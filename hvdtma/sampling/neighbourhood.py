"""From seeds to what an encoder reads: sampled hops, features, and the first hop.

Legend: S seeds, n input nodes, D features, Q pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hvdtma.sampling.dgl_backend import Block, pair_keys, sample_blocks
from hvdtma.sampling.first_hop import FirstHop, without_pairs
from hvdtma.sampling.shard import Shard


@dataclass
class Neighbourhood:
    """What an encoder's `forward` takes, for S distinct seeds.

    Attributes:
        blocks: sampled hops, outermost first.
        x: float32 [n, D] features of the input nodes; the seeds are the first S of them.
        hop: their first hop, or None.
    """

    blocks: list[Block]
    x: torch.Tensor
    hop: FirstHop | None

    def to(self, device: torch.device) -> Neighbourhood:
        if device.type == "cpu":
            return self
        hop = None if self.hop is None else self.hop.to(device)
        return Neighbourhood([b.to(device) for b in self.blocks], self.x.to(device), hop)


@dataclass(frozen=True)
class Targets:
    """The links of a batch that no message may pass along: local numbers, int64 [Q]."""

    src: np.ndarray
    dst: np.ndarray


def sample_neighbourhood(
    shard: Shard,
    seeds_S: torch.Tensor,
    fanouts: list[int],
    *,
    random_seed: int,
    targets: Targets | None = None,
) -> Neighbourhood:
    """Sample around distinct seeds, leaving every edge between target pairs out.

    Args:
        fanouts: neighbours per sampled hop, outermost (input) hop first.
        random_seed: the sample is a function of it.
    """
    keys = None if targets is None else _sorted_keys(targets, shard.num_nodes)
    nodes = seeds_S.to(shard.graph.idtype)
    blocks, nodes = sample_blocks(shard.graph, nodes, fanouts, random_seed, keys)
    nodes = nodes.long()
    x_nD = shard.features(nodes)
    hop = shard.first_hop(nodes)
    if hop is not None and targets is not None:
        hop = _hop_without(hop, x_nD, shard, nodes, targets)
    return Neighbourhood(blocks, x_nD, hop)


def _sorted_keys(targets: Targets, num_nodes: int) -> torch.Tensor:
    src, dst = torch.from_numpy(targets.src), torch.from_numpy(targets.dst)
    return torch.unique(pair_keys(src, dst, num_nodes))


def _hop_without(
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
