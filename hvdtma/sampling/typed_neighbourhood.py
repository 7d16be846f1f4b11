"""The input of a typed encoder: sampled blocks, features by node type, first hop by edge type.

The links that a batch predicts are removed from its messages in three places: the sampler leaves
all edges between their ends out of the blocks, whatever their type; here they are subtracted from
the first hop of every edge type, and from features that are degrees.

Legend: S seeds, n input nodes of a type, D features, Q pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hvdtma.graph.typed.schema import DEGREES, EdgeType
from hvdtma.sampling.draws import NOTHING, Exclusion
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.typed_block import TypedBlock
from hvdtma.sampling.typed_hop import TypedHop
from hvdtma.sampling.typed_shard import TypedShard


@dataclass
class TypedNeighbourhood:
    """The arguments of a typed encoder's `forward`, for S distinct seeds.

    Attributes:
        blocks: one per sampled layer, input layer first.
        x: float32 [n, D] features of the input nodes by node type; the seeds come first.
        first_hop: the first hop of the input nodes by edge type, or None.
        seed_row: int64 [S], the row of each seed in the outputs of all node types together.
        nodes: the own numbers of the input nodes, by node type.
    """

    blocks: list[TypedBlock]
    x: dict[str, torch.Tensor]
    first_hop: dict[EdgeType, TypedHop] | None
    seed_row: torch.Tensor
    nodes: dict[str, torch.Tensor]

    def embedded_by(self, encoder: Any) -> torch.Tensor:
        """The embeddings [S, H] of the seeds, in their order."""
        h = encoder(self.blocks, self.x, self.first_hop)
        return torch.cat([h[name] for name in self.x]).index_select(0, self.seed_row)

    def to(self, device: torch.device) -> TypedNeighbourhood:
        if device.type == "cpu":
            return self
        hops = self.first_hop
        return TypedNeighbourhood(
            [block.to(device, non_blocking=True) for block in self.blocks],
            {name: x.to(device, non_blocking=True) for name, x in self.x.items()},
            None
            if hops is None
            else {kind: hop.to(device, non_blocking=True) for kind, hop in hops.items()},
            self.seed_row.to(device, non_blocking=True),
            self.nodes,
        )

    def pin_memory(self) -> TypedNeighbourhood:
        """The same in page-locked memory, from which copies to a GPU need not wait."""
        hops = None
        if self.first_hop is not None:
            hops = {kind: hop.pin_memory() for kind, hop in self.first_hop.items()}
        return TypedNeighbourhood(
            [block.pin_memory() for block in self.blocks],
            {name: x.pin_memory() for name, x in self.x.items()},
            hops,
            self.seed_row.pin_memory(),
            self.nodes,
        )


@dataclass(frozen=True)
class TypedTargets:
    """The edges between the ends of a batch's links, by edge type.

    Attributes:
        pairs: for each edge type distinct pairs of its source and destination type, int64 own
            numbers [Q] of each end; both directions of every link.
    """

    pairs: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, shard: TypedShard, targets: Targets | None) -> TypedTargets:
        """The pairs of each edge type that connects the types of a link's ends."""
        none = np.zeros(0, np.int64)
        if targets is None:
            return cls([(none, none)] * len(shard.edges))
        src = shard.layout.types_and_own(np.r_[targets.src, targets.dst])
        dst = shard.layout.types_and_own(np.r_[targets.dst, targets.src])
        pairs, sizes = [], shard.layout.sizes
        for src_type, dst_type in shard.schema.ends.tolist():
            here = (src[0] == src_type) & (dst[0] == dst_type)
            size = max(int(sizes[src_type]), 1)
            keys = np.unique(dst[1][here] * size + src[1][here])
            pairs.append((keys % size, keys // size))
        return cls(pairs)

    def exclusions(self, shard: TypedShard) -> list[Exclusion]:
        """The edges of each type that no sample may have."""
        sizes = shard.layout.sizes
        return [
            Exclusion.one_way(src, dst, int(sizes[src_type])) if len(src) else NOTHING
            for (src, dst), src_type in zip(self.pairs, shard.schema.ends[:, 0], strict=True)
        ]


def typed_neighbourhood(
    shard: TypedShard,
    blocks: list[TypedBlock],
    nodes: list[np.ndarray],
    seed_row: np.ndarray,
    targets: TypedTargets,
) -> TypedNeighbourhood:
    """Add features and the first hop to sampled blocks.

    Args:
        nodes: for each node type the own numbers of the input nodes, int64.
    """
    schema = shard.schema
    own = [torch.from_numpy(some) for some in nodes]
    xs = [shard.features_of(number, some) for number, some in enumerate(own)]
    hops: dict[EdgeType, TypedHop] | None = None if shard.hops is None else {}
    corrected = list(xs)
    for number, (src_type, dst_type) in enumerate(schema.ends.tolist()):
        src_Q, dst_Q = targets.pairs[number]
        count_Q = shard.edges[number].count_edges(src_Q, dst_Q)
        src_Q, dst_Q, count_Q = (v[count_Q > 0] for v in (src_Q, dst_Q, count_Q))
        src_row, dst_row = _rows(own[src_type], src_Q), _rows(own[dst_type], dst_Q)
        counts = torch.from_numpy(count_Q)
        hop = shard.first_hop_of(number, own[dst_type])
        if hop is not None and hops is not None:
            if len(counts):
                rounding = torch.finfo(shard.feats[src_type].dtype).eps
                hop = hop.without_edges(xs[src_type], src_row, dst_row, counts, rounding)
            hops[schema.edge_types[number]] = hop
        if schema.features[dst_type] == DEGREES and len(counts):
            column = schema.into(dst_type).index(number)
            degree = shard.degrees[number].index_select(0, own[dst_type])
            degree = degree.index_add(0, dst_row, -counts.float())
            x = corrected[dst_type].clone()
            x[:, column] = degree.log1p()
            corrected[dst_type] = x
    names = schema.node_types
    return TypedNeighbourhood(
        blocks,
        dict(zip(names, corrected, strict=True)),
        hops,
        torch.from_numpy(seed_row),
        dict(zip(names, own, strict=True)),
    )


def _rows(nodes_n: torch.Tensor, wanted_Q: np.ndarray) -> torch.Tensor:
    """The positions of some nodes among distinct nodes that have them all."""
    ascending, order = torch.sort(nodes_n)
    return order[torch.searchsorted(ascending, torch.from_numpy(wanted_Q))]
