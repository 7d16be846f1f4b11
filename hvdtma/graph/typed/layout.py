"""The numbering of the nodes of a typed graph.

All nodes have one numbering, which is cut into blocks. Inside a block the nodes stand by type. The
nodes of one type in this order are the numbering of the type: `(type, number)`. So each block has a
contiguous range of every type, and the arrays of a type are read by blocks, as other arrays are.

Legend: N nodes, B blocks, T node types, Q queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from hvdtma.graph.typed.schema import GraphSchema

NODES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class NodeLayout:
    """The place of each type in each block.

    Attributes:
        offsets: int64 [B, T+1], the first node of each type in each block; the last column is the
            end of the block.
    """

    offsets: np.ndarray

    @property
    def num_types(self) -> int:
        return self.offsets.shape[1] - 1

    @property
    def num_nodes(self) -> int:
        return int(self.offsets[-1, -1]) if len(self.offsets) else 0

    @cached_property
    def counts(self) -> np.ndarray:
        """int64 [B, T]: the number of nodes of each type in each block."""
        return np.diff(self.offsets, axis=1)

    @cached_property
    def sizes(self) -> np.ndarray:
        """int64 [T]: the number of nodes of each type."""
        return self.counts.sum(0)

    @cached_property
    def first(self) -> np.ndarray:
        """int64 [B, T]: the own number of the first node of each type in each block."""
        return np.cumsum(self.counts, axis=0) - self.counts

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.ascontiguousarray(self.offsets[:, 0])

    def block_of(self, nodes_Q: np.ndarray) -> np.ndarray:
        """int64 [Q]: the block of each node."""
        return np.searchsorted(self._starts, nodes_Q, side="right") - 1

    def own(self, node_type: int, nodes_Q: np.ndarray) -> np.ndarray:
        """int64 [Q]: the own numbers of nodes of one type."""
        shift_B = self.first[:, node_type] - self.offsets[:, node_type]
        return nodes_Q + shift_B[self.block_of(nodes_Q)]

    def types_and_own(self, nodes_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int64 [Q]: the type of each node, and its own number in the type."""
        block_Q, type_Q = self.block_of(nodes_Q), np.zeros(len(nodes_Q), np.int64)
        for number in range(1, self.num_types):
            type_Q += self.offsets[block_Q, number] <= nodes_Q
        shift_BT = self.first - self.offsets[:, :-1]
        return type_Q, nodes_Q + shift_BT[block_Q, type_Q]

    def nodes(self, node_type: int, own_Q: np.ndarray) -> np.ndarray:
        """int64 [Q]: the nodes with these own numbers of a type."""
        block_Q = np.searchsorted(self.first[:, node_type], own_Q, side="right") - 1
        shift_B = self.offsets[:, node_type] - self.first[:, node_type]
        return own_Q + shift_B[block_Q]

    def ranges(self, node_type: int, blocks: np.ndarray) -> list[tuple[int, int]]:
        """The own numbers of a type in each block, first and end; blocks without any are not in."""
        first = self.first[blocks, node_type]
        end = first + self.counts[blocks, node_type]
        return [(a, b) for a, b in zip(first.tolist(), end.tolist(), strict=True) if b > a]

    def of_blocks(self, blocks: np.ndarray) -> NodeLayout:
        """The layout of a shard that consists of these blocks, in its local numbers."""
        counts_BT = self.counts[blocks]
        ends = np.cumsum(counts_BT.reshape(-1)).reshape(counts_BT.shape)
        return NodeLayout(np.concatenate([(ends - counts_BT)[:, :1], ends], axis=1))

    def type_pieces(self) -> Iterator[np.ndarray]:
        """The type of every node in order, int16, in pieces."""
        for start in range(0, self.num_nodes, NODES_AT_ONCE):
            nodes = np.arange(start, min(start + NODES_AT_ONCE, self.num_nodes))
            yield self.types_and_own(nodes)[0].astype(np.int16)


def by_type_in_blocks(
    order_N: np.ndarray, type_N: np.ndarray, block_offsets: np.ndarray, num_types: int
) -> tuple[np.ndarray, NodeLayout]:
    """An order of nodes with the nodes of each block sorted by type, stably; and its layout.

    Args:
        order_N: nodes, cut into blocks by `block_offsets`.
        type_N: the type of each node, by number.
    """
    out_N, counts = np.empty_like(order_N), np.zeros((len(block_offsets) - 1, num_types), np.int64)
    for block, (start, stop) in enumerate(pairwise(block_offsets)):
        nodes = order_N[start:stop]
        types = type_N[nodes]
        out_N[start:stop] = nodes[np.argsort(types, kind="stable")]
        counts[block] = np.bincount(types, minlength=num_types)
    ends = np.cumsum(counts, axis=1)
    offsets = np.concatenate([np.zeros((len(counts), 1), np.int64), ends], axis=1)
    return out_N, NodeLayout(offsets + np.asarray(block_offsets[:-1], np.int64)[:, None])


def row_width(schema: GraphSchema, layout: NodeLayout) -> int:
    """Features per node: the mean of the block with most."""
    nodes_B = np.maximum(layout.counts.sum(1), 1)
    return int(np.ceil((layout.counts @ np.array(schema.dims)) / nodes_B).max(initial=1))
