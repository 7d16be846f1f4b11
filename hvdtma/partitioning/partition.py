"""`hvdtma partition`: writes the same graph in another order of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hvdtma.core.bounds import check_whole
from hvdtma.core.disk import check_disk_space
from hvdtma.core.errors import check_seed
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.options import call_with_options
from hvdtma.graph.blocks import default_block_size
from hvdtma.graph.builder import provenance
from hvdtma.graph.reorder import rank_of, reorder_disk_bytes, reorder_work_bytes, write_reordered
from hvdtma.graph.store import GraphStore
from hvdtma.graph.typed.layout import by_type_in_blocks
from hvdtma.partitioning.assignment import check_trainers
from hvdtma.partitioning.method import PartitionMethod, check_order
from hvdtma.storage.writer import StoreWriter, refuse_existing

ORDER_BYTES = 8  # per node: two int32 permutations, from old to new numbers and back
TYPE_BYTES = 2 + 8  # per node of a typed graph: its type, and an order by it


@dataclass(frozen=True)
class PartitionOptions:
    """The partition method, its options and seed, and the size of blocks.

    Attributes:
        method: `random` (RandomTMA), `super` (SuperTMA), `min-cut` (PSGD-PA), another registered
            name, or an import path.
        options: keyword arguments of the method (`hvdtma.partitioning.methods`).
        seed: random seed of the method.
        block_nodes: target number of nodes per block (None: the default of `build`).

    Raises UserError for an unknown method, and for an option that the method does not take.
    """

    method: str = "random"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    block_nodes: int | None = None

    def __post_init__(self) -> None:
        if self.block_nodes is not None:
            check_whole("block_nodes", self.block_nodes, 1)
        check_seed(self.seed)
        self.make_method()

    def make_method(self) -> PartitionMethod:
        """Make the method with its options."""
        return call_with_options("partition", self.method, self.options)


def partition(
    store: GraphStore,
    path: str | Path,
    options: PartitionOptions | None = None,
    *,
    overwrite: bool = False,
    trainers: int | None = None,
    memory_gb: float | None = None,
) -> GraphStore:
    """Write a copy of `store` in another order of nodes to `path`, and open it.

    Args:
        overwrite: replace `path` if it exists.
        trainers: a number of trainers to check: there must be enough blocks or parts.
        memory_gb: memory limit of this process in GiB (None: half of the free memory). The result
            does not depend on it, except through the clusterer that `auto` chooses.

    Raises UserError if `path` exists (without `overwrite`), if the method refuses the store, if
    there are too few blocks or parts for `trainers`, or if memory or disk do not suffice.
    """
    options = options or PartitionOptions()
    method = options.make_method()
    refuse_existing(Path(path), overwrite)
    memory = MemoryBudget.limit(memory_gb)
    _refuse_too_small(store, Path(path), method, memory)
    with StoreWriter(Path(path), overwrite) as writer:
        order = method.order(
            store,
            block_nodes=options.block_nodes or _default_block_nodes(store),
            seed=options.seed,
            memory=memory,
            folder=writer.scratch_folder(),
        )
        check_order(order, store.num_nodes, options.method)
        if trainers is not None:
            parts = order.part_offsets
            units = order.block_offsets if parts is None else parts
            check_trainers(trainers, len(units) - 1, whole_parts=parts is not None)
        if order.part_offsets is not None:
            writer.put("part_offsets", order.part_offsets)
        layout = None
        if store.schema is not None:
            types_N = np.concatenate(list(store.layout.type_pieces()))
            order.nodes, layout = by_type_in_blocks(
                order.nodes, types_N, order.block_offsets, len(store.schema.node_types)
            )
            del types_N
        rank_N = rank_of(order.nodes)
        order.nodes = order.nodes[:0]  # frees its memory
        write_reordered(
            writer, store, rank_N, order.block_offsets, memory, order.block_nodes, layout
        )
        step = provenance("partition", source=str(store.path), options=asdict(options))
        writer.attrs |= {
            "order": {"method": options.method, "seed": options.seed, **order.attrs},
            "provenance": [*store.attrs["provenance"], step],
        }
    return GraphStore(path)


def _default_block_nodes(store: GraphStore) -> int:
    row_bytes = store.feature_dim * store.feature_dtype.itemsize
    return default_block_size(store.num_nodes, row_bytes)


def _refuse_too_small(
    store: GraphStore, path: Path, method: PartitionMethod, memory: MemoryBudget
) -> None:
    """Raises UserError if memory or disk do not suffice."""
    if hasattr(method, "check"):
        method.check(store, memory)
    order_bytes = (ORDER_BYTES if store.num_nodes < 2**31 else 2 * ORDER_BYTES) * store.num_nodes
    order_bytes += TYPE_BYTES * store.num_nodes * (store.schema is not None)
    needed_bytes = order_bytes + reorder_work_bytes(store)
    if hasattr(method, "required_bytes"):
        needed_bytes = max(needed_bytes, method.required_bytes(store, memory))
    purpose = f"partitioning {store.num_nodes:,} nodes and {store.num_edges:,} edges"
    if getattr(method, "clusterer", None) == "metis":
        purpose += " (--clusterer streaming may need less)"
    memory.available(needed_bytes, purpose)
    disk_bytes = reorder_disk_bytes(store)
    if hasattr(method, "disk_bytes"):
        disk_bytes = max(disk_bytes, method.disk_bytes(store))
    check_disk_space(path, disk_bytes, "partitioned", "give a place with more")
