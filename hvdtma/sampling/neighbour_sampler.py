"""Neighbour sampling, layer by layer: uniform, or in proportion to edge weights.

Legend: S seeds, n input nodes.
"""

from __future__ import annotations

import torch

from hvdtma.sampling.dgl_backend import pair_keys, sample_blocks
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets, neighbourhood_of
from hvdtma.sampling.shard import Shard
from hvdtma.sampling.weighted import sample_weighted_blocks


class NeighbourSampler:
    """Draws neighbours without replacement (GraphSAGE, Hamilton et al., NeurIPS 2017).

    All neighbours are equally likely; with edge weights see `hvdtma.sampling.weighted`.

    Args:
        fanouts: neighbours per node for each sampled layer, input layer first; -1 takes all.
    """

    def __init__(self, fanouts: list[int]):
        self.fanouts = fanouts

    def sample(
        self,
        shard: Shard,
        seeds_S: torch.Tensor,
        *,
        random_seed: int,
        targets: Targets | None = None,
    ) -> Neighbourhood:
        """See `hvdtma.sampling.sampler.Sampler`; target links are left out of the blocks."""
        if shard.csc.weight is not None:
            blocks, nodes_n = sample_weighted_blocks(
                shard.csc, seeds_S, self.fanouts, random_seed, targets
            )
            return neighbourhood_of(shard, blocks, nodes_n, targets)
        keys = None if targets is None else _sorted_keys(targets, shard.num_nodes)
        seeds_S = seeds_S.to(shard.graph.idtype)
        blocks, nodes_n = sample_blocks(shard.graph, seeds_S, self.fanouts, random_seed, keys)
        return neighbourhood_of(shard, blocks, nodes_n.long(), targets)


def _sorted_keys(targets: Targets, num_nodes: int) -> torch.Tensor:
    src, dst = torch.from_numpy(targets.src), torch.from_numpy(targets.dst)
    return torch.unique(pair_keys(src, dst, num_nodes))
