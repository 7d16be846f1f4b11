"""The built-in partition methods: RandomTMA, SuperTMA and min-cut parts.

All three are Zhu et al., arXiv 2305.09887, section 3. Legend: N nodes, G groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from hvdtma.core.console import stage
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.store import GraphStore
from hvdtma.partitioning.groups import CLUSTERERS, groups, least_to_group, share_within
from hvdtma.partitioning.method import Order
from hvdtma.partitioning.orders import min_cut_order, random_order, super_node_order
from hvdtma.partitioning.streaming import disk_to_cluster

NODES_PER_SUPER_NODE = 200  # the paper's 15,000 on ogbl-citation2's 2.9 million nodes
MIN_SUPER_NODES, MAX_SUPER_NODES = 256, 15_000
LEAST_NODES = 20  # per super-node; smaller ones come close to a random order


class RandomOrder:
    """Every node anywhere (RandomTMA)."""

    def order(
        self,
        store: GraphStore,
        *,
        block_nodes: int,
        seed: int,
        memory: MemoryBudget,
        folder: Path,
    ) -> Order:
        """See `hvdtma.partitioning.method.PartitionMethod`."""
        with stage("random order"):
            return random_order(store.num_nodes, block_nodes, seed=seed)


class Grouped:
    """The common part of methods that keep groups of nodes together.

    Args:
        clusterer: `metis`, `streaming` (edges stay on disk), or `auto`: METIS where it fits in
            memory.

    Attributes:
        unit: the word for a group.
        balance: groups have about equally many `nodes` or `edges`.
        share_name: attribute of the store for the share of edges within groups.
    """

    unit: ClassVar[str]
    balance: ClassVar[str]
    share_name: ClassVar[str]

    def __init__(self, clusterer: str = "auto"):
        if clusterer not in CLUSTERERS:
            raise UserError(
                f"unknown clusterer '{clusterer}'; {nearest(clusterer, list(CLUSTERERS))}"
            )
        self.clusterer = clusterer

    def num_groups(self, num_nodes: int) -> int:
        """G."""
        raise NotImplementedError

    def order_of_groups(self, group_N: np.ndarray, block_nodes: int, seed: int) -> Order:
        """The order of nodes in groups 0 .. G-1."""
        raise NotImplementedError

    def check(self, store: GraphStore, memory: MemoryBudget) -> None:
        """Raises UserError for more groups than nodes."""
        wanted = self.num_groups(store.num_nodes)
        if wanted > store.num_nodes:
            raise UserError(
                f"{wanted} {self.unit} asked for, but the graph has only {store.num_nodes} nodes"
            )

    def required_bytes(self, store: GraphStore, memory: MemoryBudget) -> int:
        """The least memory of the clusterer that would be chosen."""
        return least_to_group(store, self.clusterer, memory)

    def disk_bytes(self, store: GraphStore) -> int:
        """Scratch files of streaming."""
        return 0 if self.clusterer == "metis" else disk_to_cluster(store)

    def order(
        self,
        store: GraphStore,
        *,
        block_nodes: int,
        seed: int,
        memory: MemoryBudget,
        folder: Path,
    ) -> Order:
        """See `hvdtma.partitioning.method.PartitionMethod`."""
        group_N, clusterer = groups(
            store,
            self.num_groups(store.num_nodes),
            seed=seed,
            balance=self.balance,
            clusterer=self.clusterer,
            memory=memory,
            folder=folder,
        )
        share = share_within(store, group_N)
        order = self.order_of_groups(group_N, block_nodes, seed)
        order.attrs |= {self.share_name: share, "clusterer": clusterer}
        return order


class SuperNodes(Grouped):
    """Clusters of nodes, shuffled and laid end to end (SuperTMA).

    Args:
        super_nodes: number of clusters. None: one per 200 nodes, at most the paper's 15,000, at
            least 256 unless they would have fewer than 20 nodes.
    """

    unit, balance, share_name = "super-nodes", "nodes", "edges_in_super_nodes"

    def __init__(self, super_nodes: int | None = None, clusterer: str = "auto"):
        super().__init__(clusterer)
        _check_number("super_nodes", super_nodes)
        self.super_nodes = super_nodes

    def num_groups(self, num_nodes: int) -> int:
        return self.super_nodes or default_super_nodes(num_nodes)

    def order_of_groups(self, group_N: np.ndarray, block_nodes: int, seed: int) -> Order:
        return super_node_order(group_N, self.num_groups(len(group_N)), block_nodes, seed=seed)


class MinCut(Grouped):
    """Parts with few edges between them, which are assigned whole (the PSGD-PA baseline).

    Args:
        parts: number of parts; at most so many trainers can have blocks.
    """

    unit, balance, share_name = "parts", "edges", "edges_in_parts"

    def __init__(self, parts: int = 3, clusterer: str = "auto"):
        super().__init__(clusterer)
        _check_number("parts", parts)
        self.parts = parts

    def num_groups(self, num_nodes: int) -> int:
        return self.parts

    def order_of_groups(self, group_N: np.ndarray, block_nodes: int, seed: int) -> Order:
        return min_cut_order(group_N, self.parts, block_nodes)


def default_super_nodes(num_nodes: int) -> int:
    """One per 200 nodes; at least 256, but of 20 nodes each; at most 15,000."""
    least = max(1, min(MIN_SUPER_NODES, num_nodes // LEAST_NODES))
    return max(least, min(MAX_SUPER_NODES, num_nodes // NODES_PER_SUPER_NODE))


def _check_number(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise UserError(f"{name} is {value}; it must be at least 1")
