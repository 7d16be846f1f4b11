"""Neighbour sampling, layer by layer: uniform, or in proportion to edge weights; and LABOR.

Legend: S seeds, n input nodes.
"""

from __future__ import annotations

import numpy as np
import torch

from hvdtma.sampling.block import Block
from hvdtma.sampling.draws import NOTHING, Exclusion, layer_key, renumber, sample_edges
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets, neighbourhood_of
from hvdtma.sampling.shard import Shard


class NeighbourSampler:
    """Draws neighbours without replacement (GraphSAGE, Hamilton et al., NeurIPS 2017).

    All neighbours are equally likely; with edge weights see `hvdtma.sampling.draws`. The links that
    a batch predicts are no neighbours: the sample is drawn from the others.

    Args:
        fanouts: neighbours per node for each sampled layer, input layer first; -1 takes all.
    """

    labor = False

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
        """See `hvdtma.sampling.sampler.Sampler`."""
        excluded = NOTHING
        if targets is not None:
            excluded = Exclusion.of(targets.src, targets.dst, shard.num_nodes)
        nodes = seeds_S.numpy().astype(np.int64, copy=False)
        blocks: list[Block] = []
        for layer, fanout in enumerate(reversed(self.fanouts)):
            key = layer_key(random_seed, layer)
            indptr, source, weight = sample_edges(
                shard.csc, nodes, fanout, key, excluded=excluded, labor=self.labor
            )
            nodes, local = renumber(nodes, source)
            weight_E = None if weight is None else torch.from_numpy(weight)
            edges = torch.from_numpy(indptr), torch.from_numpy(local)
            blocks.insert(0, Block(*edges, len(nodes), weight_E))
        return neighbourhood_of(shard, blocks, torch.from_numpy(nodes), targets)


class LaborSampler(NeighbourSampler):
    """LABOR-0 (Balin and Catalyurek, NeurIPS 2023): the batch's nodes share their neighbours.

    A node has `fanout` neighbours on average. A batch reads fewer distinct nodes than with
    `NeighbourSampler`, for estimates of the same variance. With edge weights, ranks by weight are
    made from one random number per source (`hvdtma.sampling.draws`).
    """

    labor = True
