"""How much memory a shard takes, known before it is read; and how much of one fits.

Legend: N nodes and E edges of the store, n and e of a shard, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sizes import GraphFacts

PROCESS_BYTES = 640 << 20  # Python and the libraries, before anything is read
READING_BYTES = 128 << 20  # chunks on their way, of two threads however many train
NODE_BYTES = 8 + 8 + 8 + 4 + 4 + 4 + 4  # number, rows of CSC and links, DGL's rows, degrees
LABEL_BYTES = 8 + 8 + 8  # a node's label, its place among those trained on, and in their order


@dataclass(frozen=True)
class Footprint:
    """Bytes a shard takes for each node and each edge of it."""

    node_bytes: int
    edge_bytes: float

    @classmethod
    def of(cls, store: GraphFacts, *, first_hop: bool, labels: bool = False) -> Footprint:
        """What a shard of this store, or of one of these sizes, holds.

        Args:
            labels: nodes are trained on, not links.
        """
        row = store.feature_dtype.itemsize * store.feature_dim * (1 + first_hop)
        index = np.dtype(index_dtype(store.num_nodes)).itemsize
        order = index * (0.5 if store.undirected else 1)  # in which links are trained on
        types = 2 if store.edge_type_names else 0
        if labels:
            return cls(NODE_BYTES + row + LABEL_BYTES, index + types)
        return cls(NODE_BYTES + row, index + order + types)

    def bytes_of(self, num_nodes: float, num_edges: float) -> int:
        return int(self.node_bytes * num_nodes + self.edge_bytes * num_edges)


def edges_within(store: GraphFacts, share: float) -> float:
    """Edges expected between the nodes of a random share of the blocks.

    Of a random order share^2 of all; of super-nodes and parts also what lies inside of them.
    """
    inside = store.edges_inside
    return store.num_edges * share * (inside + (1 - inside) * share)


def sets_needed(
    store: GraphFacts, block_nodes: np.ndarray, footprint: Footprint, room_bytes: int
) -> int | None:
    """Into how many resident sets blocks of so many nodes must be cut to fit.

    One is read while another is trained on: two have to fit, unless one is all. None if not even
    two of single blocks do.
    """
    for sets in range(1, len(block_nodes) + 1):
        num_nodes = largest_set(block_nodes, sets)
        if bytes_of_sets(store, num_nodes, sets, footprint) <= room_bytes:
            return sets
    return None


def largest_set(block_nodes: np.ndarray, sets: int) -> int:
    """Nodes of the largest of `sets` resident sets, whatever blocks chance puts into it."""
    most_blocks = -(-len(block_nodes) // sets)
    return int(np.sort(block_nodes)[-most_blocks:].sum())


def bytes_of_sets(store: GraphFacts, num_nodes: int, sets: int, footprint: Footprint) -> int:
    """Bytes in memory of a shard cut into `sets` of at most `num_nodes` nodes: two at most."""
    edges = edges_within(store, num_nodes / max(store.num_nodes, 1))
    return min(sets, 2) * footprint.bytes_of(num_nodes, edges)
