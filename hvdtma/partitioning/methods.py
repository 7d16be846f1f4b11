"""The built-in partition methods: RandomTMA, SuperTMA and min-cut parts.

All three are described in Zhu et al., arXiv 2305.09887, section 3.

Legend: N nodes, G groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from hvdtma.core.bounds import check_whole
from hvdtma.core.console import stage
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.store import GraphStore
from hvdtma.partitioning.groups import (
    CLUSTERERS,
    group_nodes,
    min_grouping_bytes,
    share_of_edges_within,
)
from hvdtma.partitioning.method import Order
from hvdtma.partitioning.orders import min_cut_order, random_order, super_node_order
from hvdtma.partitioning.streaming import streaming_disk_bytes

NODES_PER_SUPER_NODE = 200  # the paper's 15,000 on ogbl-citation2's 2.9 million nodes
MIN_SUPER_NODES, MAX_SUPER_NODES = 256, 15_000
MIN_NODES_PER_SUPER_NODE = 20  # smaller super-nodes are close to a random order


class RandomOrder:
    """A random order of all nodes (RandomTMA)."""

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
    """Base class of methods that keep groups of nodes together.

    Args:
        clusterer: `metis`; `streaming`, which leaves edges on disk; or `auto`, which takes METIS if
            it fits in memory.

    Attributes:
        unit: the name of the groups, in messages.
        balance: groups have about equal numbers of `nodes` or `edges`.
        share_name: key of `Order.attrs` for the share of edges within groups.
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
        """Number of groups G for a graph of `num_nodes` nodes."""
        raise NotImplementedError

    def order_of_groups(self, group_N: np.ndarray, block_nodes: int, seed: int) -> Order:
        """The order of the nodes, from their groups 0 .. G-1 (int32|int64 [N])."""
        raise NotImplementedError

    def check(self, store: GraphStore, memory: MemoryBudget) -> None:
        """Raises UserError if there are more groups than nodes."""
        num_groups = self.num_groups(store.num_nodes)
        if num_groups > store.num_nodes:
            raise UserError(
                f"{num_groups} {self.unit}, but the graph has only {store.num_nodes} nodes; "
                "use fewer"
            )

    def required_bytes(self, store: GraphStore, memory: MemoryBudget) -> int:
        """The least memory of the clusterer that `group_nodes` would choose."""
        return min_grouping_bytes(store, self.clusterer, memory)

    def disk_bytes(self, store: GraphStore) -> int:
        """Scratch files of the streaming clusterer."""
        return 0 if self.clusterer == "metis" else streaming_disk_bytes(store)

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
        group_N, clusterer = group_nodes(
            store,
            self.num_groups(store.num_nodes),
            seed=seed,
            balance=self.balance,
            clusterer=self.clusterer,
            memory=memory,
            folder=folder,
        )
        share = share_of_edges_within(store, group_N)
        order = self.order_of_groups(group_N, block_nodes, seed)
        order.attrs |= {self.share_name: share, "clusterer": clusterer}
        return order


class SuperNodes(Grouped):
    """Clusters of nodes ("super-nodes") in random order (SuperTMA).

    Args:
        super_nodes: number of clusters. None: one per 200 nodes, but at most 15,000 as in the
            paper, and at least 256 unless clusters would have fewer than 20 nodes.
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
    """Parts with few edges between them, assigned as a whole (the baseline PSGD-PA).

    Args:
        parts: number of parts, and so the largest number of trainers.
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
    """The default of `SuperNodes`."""
    lower = max(1, min(MIN_SUPER_NODES, num_nodes // MIN_NODES_PER_SUPER_NODE))
    return max(lower, min(MAX_SUPER_NODES, num_nodes // NODES_PER_SUPER_NODE))


def _check_number(name: str, value: int | None) -> None:
    if value is not None:
        check_whole(name, value, 1)
