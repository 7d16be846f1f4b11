"""The contract of a partition method: from a graph to an order of its nodes.

    class ByDegree:
        \"\"\"Nodes of similar degree side by side.\"\"\"

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

from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.store import GraphStore


@dataclass
class Order:
    """A renumbering of nodes, cut into blocks: new node i is old node `nodes[i]`.

    Attributes:
        nodes: permutation int32|int64 [N].
        block_offsets: int64 [B+1] first node of each block.
        part_offsets: int64 [P+1] first block of each part, if whole parts are assigned to
            trainers; None: single blocks are.
        block_nodes: nodes of every block (the last may have fewer) if they are equal.
        attrs: JSON values that describe the order in the store. `edges_in_super_nodes` or
            `edges_in_parts` is the share of edges within what is assigned together.
    """

    nodes: np.ndarray
    block_offsets: np.ndarray
    part_offsets: np.ndarray | None = None
    block_nodes: int | None = None
    attrs: dict = field(default_factory=dict)


class PartitionMethod(Protocol):
    """Orders the nodes of a store. The class is called with the user's options.

    A method may also define `check(store, memory)`, which raises UserError before anything is
    written, `required_bytes(store, memory) -> int` and `disk_bytes(store) -> int`, which are then
    checked against the limits.
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
            block_nodes: wanted nodes per block.
            memory: limit of this process.
            folder: for scratch files; made by the method if it needs it, removed afterwards.
        """
        ...


def check_method(name: str, target: Any) -> None:
    """Raises UserError if a class is no partition method."""
    if not callable(getattr(target, "order", None)):
        raise UserError(
            f"{name} is no partition method: it has no method `order` (docs/extending.md)"
        )


def check_order(order: Order, num_nodes: int, method: str) -> None:
    """Raises UserError if a method's order is not a permutation cut into blocks and parts."""
    problem = None
    seen = np.zeros(num_nodes, bool)
    if len(order.nodes) == num_nodes and 0 <= order.nodes.min() <= order.nodes.max() < num_nodes:
        seen[order.nodes] = True
    if not seen.all():
        problem = "its nodes are no permutation of all nodes"
    elif not _are_offsets(order.block_offsets, num_nodes):
        problem = f"its block_offsets do not ascend from 0 to {num_nodes}"
    elif order.part_offsets is not None and not _are_offsets(
        order.part_offsets, len(order.block_offsets) - 1
    ):
        problem = f"its part_offsets do not ascend from 0 to {len(order.block_offsets) - 1}"
    if problem:
        raise UserError(f"the partition method '{method}' gave no valid order: {problem}")


def _are_offsets(offsets: np.ndarray, end: int) -> bool:
    ascending = bool((np.diff(offsets) > 0).all())
    return len(offsets) > 1 and offsets[0] == 0 and offsets[-1] == end and ascending
