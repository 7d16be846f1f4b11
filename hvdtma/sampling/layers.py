"""From a way to sample in-edges to a neighbourhood, layer by layer.

Legend: S seeds.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from hvdtma.sampling.block import Block
from hvdtma.sampling.draws import NOTHING, renumber
from hvdtma.sampling.edge_set import EdgeSet, SampleLayer
from hvdtma.sampling.neighbourhood import Neighbourhood, Targets, neighbourhood_of
from hvdtma.sampling.shard import Shard
from hvdtma.sampling.typed_layers import sample_typed_layers
from hvdtma.sampling.typed_neighbourhood import TypedNeighbourhood
from hvdtma.sampling.typed_shard import TypedShard


def sample_layers(
    shard: Shard, seeds_S: torch.Tensor, targets: Targets | None, layers: Iterable[SampleLayer]
) -> Neighbourhood | TypedNeighbourhood:
    """The neighbourhood of distinct seeds; of a `TypedShard` a typed one.

    Args:
        targets: links that no message may use; their edges are excluded.
        layers: for each layer, output layer first, the way to sample.
    """
    if isinstance(shard, TypedShard):
        return sample_typed_layers(shard, seeds_S, targets, layers)
    excluded = NOTHING if targets is None else targets.excluded
    nodes = seeds_S.numpy().astype(np.int64, copy=False)
    blocks: list[Block] = []
    for sample in layers:
        indptr, source, weight = sample(EdgeSet(shard.csc), nodes, excluded)
        nodes, local = renumber(nodes, source)
        weight_E = None if weight is None else torch.from_numpy(weight)
        edges = torch.from_numpy(indptr), torch.from_numpy(local)
        blocks.insert(0, Block(*edges, len(nodes), weight_E))
    return neighbourhood_of(shard, blocks, torch.from_numpy(nodes), targets)
