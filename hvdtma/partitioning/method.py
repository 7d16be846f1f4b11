"""The contract of a partition method, which turns a graph into an order of its nodes.

    class ByDegree:
        \"\"\"Nodes with many neighbours first.\"\"\"

        def order(self, store, *, block_nodes, seed, memory, folder):
            degree_N = np.diff(store.read("indptr"))
            nodes = np.argsort(-degree_N, kind="stable")
            return Order(nodes, equal_blocks(len(nodes), block_nodes), block_nodes=block_nodes)

Legend: N nodes, B blocks, P parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hvdtma.core.contract import Call, check_methods, not_a
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.store import GraphStore

ORDER = Call(("store",), ("block_nodes", "seed", "memory", "folder"))
OPTIONAL = {
    "check": Call(("store", "memory")),
    "required_bytes": Call(("store", "memory")),
    "disk_bytes": Call(("store",)),
}


@dataclass
class Order:
    """A renumbering of the nodes, cut into blocks. New node i is old node `nodes[i]`.

    Attributes:
        nodes: int32|int64 [N], a permutation.
        block_offsets: int64 [B+1], first node of each block.
        part_offsets: int64 [P+1], first block of each part, if trainers are assigned whole parts;
            None if they are assigned single blocks.
        block_nodes: nodes per block if all blocks but the last have the same size; else None.
        attrs: JSON values that describe the order in the store's attributes. Set
            `edges_in_super_nodes` or `edges_in_parts` to the share of edges within super-nodes or
            parts; estimates of shard sizes use it.
    """

    nodes: np.ndarray
    block_offsets: np.ndarray
    part_offsets: np.ndarray | None = None
    block_nodes: int | None = None
    attrs: dict = field(default_factory=dict)


class PartitionMethod(Protocol):
    """Orders the nodes of a store. The class is called with the user's options.

    Three more methods are optional. `check(store, memory)` raises UserError before anything is
    written. `required_bytes(store, memory)` and `disk_bytes(store)` return the least memory and
    disk, which are checked against the limits.
    """

    def order(
        self,
        store: GraphStore,
        *,
        block_nodes: int,
        seed: int,
        memory: MemoryBudget,
        folder: Path,
    ) -> Order:
        """An order of all nodes; a pure function of the store, the options and `seed`.

        Args:
            block_nodes: target number of nodes per block.
            memory: the memory limit of this process.
            folder: for scratch files. The method creates it if needed; it is removed afterwards.
        """
        ...


def check_method(name: str, target: Any) -> None:
    """Raises UserError if a class is not a partition method."""
    optional = {method: call for method, call in OPTIONAL.items() if hasattr(target, method)}
    check_methods("partition method", name, target, {"order": ORDER, **optional})


def check_order(order: Order, num_nodes: int, method: str) -> None:
    """Raises UserError if an order is not a permutation that is cut into blocks and parts."""
    if not isinstance(order, Order):
        raise not_a("partition method", method, f"its `order` returned {order!r}, no Order")
    problem = None
    seen = np.zeros(num_nodes, bool)
    if len(order.nodes) == num_nodes and 0 <= order.nodes.min() <= order.nodes.max() < num_nodes:
        seen[order.nodes] = True
    if not seen.all():
        problem = "its nodes are not a permutation of all nodes"
    elif not _are_offsets(order.block_offsets, num_nodes):
        problem = f"its block_offsets do not ascend from 0 to {num_nodes}"
    elif order.part_offsets is not None and not _are_offsets(
        order.part_offsets, len(order.block_offsets) - 1
    ):
        problem = f"its part_offsets do not ascend from 0 to {len(order.block_offsets) - 1}"
    if problem:
        raise UserError(f"the partition method '{method}' returned an invalid order: {problem}")


def _are_offsets(offsets: np.ndarray, end: int) -> bool:
    ascending = bool((np.diff(offsets) > 0).all())
    return len(offsets) > 1 and offsets[0] == 0 and offsets[-1] == end and ascending
