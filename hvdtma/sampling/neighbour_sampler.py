"""Neighbour sampling, layer by layer: uniform, or in proportion to edge weights; and LABOR.

Legend: S seeds, n input nodes.
"""

from __future__ import annotations

import torch

from hvdtma.sampling.draws import layer_key, sample_edges
from hvdtma.sampling.edge_set import SampleLayer
from hvdtma.sampling.layers import sample_layers
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets
from hvdtma.sampling.shard import Shard
from hvdtma.sampling.typed_neighbourhood import TypedNeighbourhood


class NeighbourSampler:
    """Draws neighbours without replacement (GraphSAGE, Hamilton et al., NeurIPS 2017).

    All neighbours are equally likely; with edge weights see `hvdtma.sampling.draws`. The links that
    a batch predicts are no neighbours: the sample is drawn from the others.

    Args:
        fanouts: neighbours per node for each sampled layer, input layer first; -1 takes all. In a
            typed graph, so many of each edge type.
    """

    typed = True
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
    ) -> Neighbourhood | TypedNeighbourhood:
        """See `hvdtma.sampling.sampler.Sampler`."""

        def layer(number: int, fanout: int) -> SampleLayer:
            key = layer_key(random_seed, number)
            return lambda edges, rows, excluded: sample_edges(
                edges.csc, rows, fanout, edges.key(key), excluded=excluded, labor=self.labor
            )

        layers = [layer(*each) for each in enumerate(reversed(self.fanouts))]
        return sample_layers(shard, seeds_S, targets, layers)


class LaborSampler(NeighbourSampler):
    """LABOR-0 (Balin and Catalyurek, NeurIPS 2023): the batch's nodes share their neighbours.

    A node has `fanout` neighbours on average. A batch reads fewer distinct nodes than with
    `NeighbourSampler`, for estimates of the same variance. With edge weights, ranks by weight are
    made from one random number per source (`hvdtma.sampling.draws`).
    """

    labor = True
