"""The memory of a shard, known before the shard is read, and of its resident sets.

Legend: N nodes and E edges of the store, n and e of a shard, D features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.targets import label_row_bytes
from hvdtma.sampling.clusters import CLUSTERING_BYTES

READING_BYTES = 128 << 20  # chunks in flight, of two threads whatever the number of cores
NODE_BYTES = 8 + 8 + 8 + 4 + 4 + 4 + 4  # number, rows of CSC and links, DGL's rows, degrees
WEIGHT_BYTES = 4  # per edge
IN_WEIGHT_BYTES = 8  # per node, with the first hop
TYPED_ROW_BYTES = 8 + 4 + 8 + 4  # per node and edge type: row of CSC, degree, count, row of hop
TYPED_NODE_BYTES = 8 + 8 + 4  # per node of a typed graph: by type, and while edges are split
TRAIN_NODE_BYTES = 8 + 8  # position among the training nodes, position in an epoch


@dataclass(frozen=True)
class ShardFootprint:
    """The memory of a shard per node and per edge, in bytes."""

    node_bytes: int
    edge_bytes: float

    @classmethod
    def of(
        cls, store: GraphFacts, *, first_hop: bool, labels: bool = False, grouped: bool = False
    ) -> ShardFootprint:
        """The footprint of a shard of `store`.

        Args:
            first_hop: whether the stored first hop is read.
            labels: whether nodes are trained on; if not, links are.
            grouped: whether the sampler groups nodes by clusters.
        """
        row = store.feature_dtype.itemsize * (store.feature_dim + store.hop_dim * first_hop)
        row += IN_WEIGHT_BYTES * (first_hop and "weight" in store)
        index = np.dtype(index_dtype(store.num_nodes)).itemsize
        epoch_order = index * (0.5 if store.undirected else 1)  # an undirected link counts once
        types = 2 if store.edge_type_names else 0
        weights = WEIGHT_BYTES if "weight" in store else 0
        if store.schema is not None:  # edges by type besides, and rows of each edge type
            into = max(len(store.schema.into(t)) for t in range(len(store.schema.dims)))
            row += TYPED_ROW_BYTES * into + TYPED_NODE_BYTES
            types += index
        row += math.ceil(store.candidate_rules.node_bytes(store.num_nodes))
        row += CLUSTERING_BYTES * grouped
        if labels:
            label = label_row_bytes(store.label_kind, len(store.label_names))
            return cls(NODE_BYTES + row + label + TRAIN_NODE_BYTES, index + types + weights)
        return cls(NODE_BYTES + row, index + epoch_order + types + weights)

    def num_bytes(self, num_nodes: float, num_edges: float) -> int:
        """The memory of a shard of n nodes and e edges."""
        return int(self.node_bytes * num_nodes + self.edge_bytes * num_edges)


def expected_edges(store: GraphFacts, num_nodes: float) -> float:
    """The expected number of edges within n nodes of randomly chosen blocks.

    (n/N)^2 of all edges in a random order; more if super-nodes or parts keep edges together.
    """
    share, inside = num_nodes / max(store.num_nodes, 1), store.edges_inside
    return store.num_edges * share * (inside + (1 - inside) * share)


def largest_set(block_nodes: np.ndarray, num_sets: int) -> int:
    """The most nodes that one of `num_sets` resident sets can have.

    Args:
        block_nodes: int64, the nodes of each block of the shard.
    """
    most_blocks = -(-len(block_nodes) // num_sets)
    return int(np.sort(block_nodes)[-most_blocks:].sum())


def resident_bytes(
    store: GraphFacts, num_nodes: int, num_sets: int, footprint: ShardFootprint
) -> int:
    """The memory of a shard in `num_sets` sets of at most `num_nodes` nodes.

    One set is read while another is trained on, so two are in memory, unless there is only one.
    """
    return min(num_sets, 2) * footprint.num_bytes(num_nodes, expected_edges(store, num_nodes))


def fitting_sets(
    store: GraphFacts, block_nodes: np.ndarray, footprint: ShardFootprint, available_bytes: int
) -> int | None:
    """The least number of resident sets that fit; None if two single blocks do not fit."""
    for num_sets in range(1, len(block_nodes) + 1):
        num_nodes = largest_set(block_nodes, num_sets)
        if resident_bytes(store, num_nodes, num_sets, footprint) <= available_bytes:
            return num_sets
    return None
