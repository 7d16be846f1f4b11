"""The blocks of a typed graph: one bipartite graph per edge type.

Legend: S seeds and n sources of a node type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from hvdtma.graph.typed.schema import EdgeType
from hvdtma.sampling.block import Block


class TypedBlock(Mapping[EdgeType, Block]):
    """A block for each edge type that has edges; keys are (source, relation, destination).

    The sources of an edge type's block are the n sources of its source type, its seeds the S seeds
    of its destination type. Of each node type, the seeds are the first S of the n sources.

    Attributes:
        num_src, num_dst: n and S by node type.
    """

    def __init__(
        self,
        blocks: Mapping[EdgeType, Block],
        num_src: Mapping[str, int],
        num_dst: Mapping[str, int],
    ):
        self.blocks, self.num_src, self.num_dst = dict(blocks), dict(num_src), dict(num_dst)

    def __getitem__(self, edge_type: EdgeType) -> Block:
        return self.blocks[edge_type]

    def __iter__(self) -> Iterator[EdgeType]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> TypedBlock:
        """The block on a device."""
        moved = {kind: block.to(device, non_blocking=non_blocking) for kind, block in self.items()}
        return TypedBlock(moved, self.num_src, self.num_dst)

    def pin_memory(self) -> TypedBlock:
        """The block in page-locked memory, from which copies to a GPU need not wait."""
        pinned = {kind: block.pin_memory() for kind, block in self.items()}
        return TypedBlock(pinned, self.num_src, self.num_dst)
