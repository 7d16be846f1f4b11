"""`hvdtma partition`: the same graph under another order of node ids."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from hvdtma.core.console import stage
from hvdtma.core.disk import check_disk_space
from hvdtma.core.errors import UserError, check_seed, nearest
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.blocks import default_block_size
from hvdtma.graph.builder import provenance
from hvdtma.graph.reorder import rank_of, reorder_disk_bytes, reorder_work_bytes, write_reordered
from hvdtma.graph.store import GraphStore
from hvdtma.partitioning.assignment import check_trainers
from hvdtma.partitioning.groups import CLUSTERERS, groups, least_to_group, share_within
from hvdtma.partitioning.orders import Order, min_cut_order, random_order, super_node_order
from hvdtma.partitioning.streaming import disk_to_cluster
from hvdtma.storage.writer import StoreWriter, refuse_existing

METHODS = ["random", "super", "min-cut"]
NODES_PER_SUPER_NODE = 200  # the paper's 15,000 on ogbl-citation2's 2.9 million nodes
MIN_SUPER_NODES, MAX_SUPER_NODES = 256, 15_000
LEAST_NODES = 20  # of a super-node; of smaller ones the order is nearly a random one
ORDER_BYTES = 8  # a node's place in the order, and the node at each place


@dataclass(frozen=True)
class PartitionOptions:
    """How nodes are ordered.

    Attributes:
        method: `random` (RandomTMA), `super` (SuperTMA) or `min-cut` (PSGD-PA).
        super_nodes: clusters for `super` (None: one per 200 nodes, at most the paper's 15,000,
            at least 256 unless they would have fewer than 20 nodes).
        parts: parts for `min-cut`; at most so many trainers can be assigned to.
        seed: of the clusterer and of the shuffle.
        block_nodes: nodes per block (None: as in `build`).
        clusterer: `metis`, `streaming` (edges stay on disk), or `auto`: METIS where it fits.
    """

    method: str = "random"
    super_nodes: int | None = None
    parts: int = 3
    seed: int = 0
    block_nodes: int | None = None
    clusterer: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"unknown method '{self.method}'; {nearest(self.method, METHODS)}")
        if self.clusterer not in CLUSTERERS:
            raise UserError(
                f"unknown clusterer '{self.clusterer}'; {nearest(self.clusterer, list(CLUSTERERS))}"
            )
        for name in ("super_nodes", "parts", "block_nodes"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        check_seed(self.seed)


def partition(
    store: GraphStore,
    path: str | Path,
    options: PartitionOptions | None = None,
    *,
    overwrite: bool = False,
    trainers: int | None = None,
    memory_gb: float | None = None,
) -> GraphStore:
    """Write `store` again at `path` in another order and open it.

    Args:
        trainers: that are to be assigned to, if that is to be checked.
        memory_gb: GiB that this process may hold (None: half of what is free). The store does not
            depend on it, but for what `clusterer` `auto` chooses.

    Raises UserError if `path` exists (unless `overwrite`), more groups than nodes are asked for,
    `trainers` are given and could not be assigned to, and for too little memory or disk.
    """
    options = options or PartitionOptions()
    refuse_existing(Path(path), overwrite)
    wanted = _groups_wanted(store.num_nodes, options)
    memory = MemoryBudget.limit(memory_gb)
    _refuse_too_small(store, Path(path), options, memory)
    with StoreWriter(Path(path), overwrite) as writer:
        order = _order(store, wanted, options, memory, writer.scratch_folder())
        if trainers is not None:
            parts = order.part_offsets
            units = order.block_offsets if parts is None else parts
            check_trainers(trainers, len(units) - 1, whole_parts=parts is not None)
        if order.part_offsets is not None:
            writer.put("part_offsets", order.part_offsets)
        rank_N = rank_of(order.nodes)
        order.nodes = order.nodes[:0]  # its memory is wanted
        write_reordered(writer, store, rank_N, order.block_offsets, memory, order.block_nodes)
        step = provenance("partition", source=str(store.path), options=asdict(options))
        writer.attrs |= {
            "order": {"method": options.method, "seed": options.seed, **order.attrs},
            "provenance": [*store.attrs["provenance"], step],
        }
    return GraphStore(path)


def _refuse_too_small(
    store: GraphStore, path: Path, options: PartitionOptions, memory: MemoryBudget
) -> None:
    """Raises UserError if memory or disk will not do; before anything is begun."""
    held_bytes = (ORDER_BYTES if store.num_nodes < 2**31 else 2 * ORDER_BYTES) * store.num_nodes
    needed_bytes = held_bytes + reorder_work_bytes(store)
    if options.method != "random":
        needed_bytes = max(needed_bytes, least_to_group(store, options.clusterer, memory))
    what = f"partitioning {store.num_nodes:,} nodes and {store.num_edges:,} edges"
    if options.clusterer == "metis":
        what += " (--clusterer streaming may need less)"
    memory.available(needed_bytes, what)
    needed = reorder_disk_bytes(store)
    if options.method != "random" and options.clusterer != "metis":
        needed = max(needed, disk_to_cluster(store))
    check_disk_space(path, needed, "partitioned", "give a place with more")


def _order(
    store: GraphStore, wanted: int, options: PartitionOptions, memory: MemoryBudget, folder: Path
) -> Order:
    row_bytes = store.feature_dim * store.array("feat").dtype.itemsize
    block_nodes = options.block_nodes or default_block_size(store.num_nodes, row_bytes)
    if options.method == "random":
        with stage("random order"):
            return random_order(store.num_nodes, block_nodes, seed=options.seed)
    cut = options.method == "min-cut"
    group_N, clusterer = groups(
        store,
        wanted,
        seed=options.seed,
        balance="edges" if cut else "nodes",
        clusterer=options.clusterer,
        memory=memory,
        folder=folder,
    )
    share = share_within(store, group_N)
    if cut:
        order = min_cut_order(group_N, wanted, block_nodes)
    else:
        order = super_node_order(group_N, wanted, block_nodes, seed=options.seed)
    within = "edges_in_parts" if cut else "edges_in_super_nodes"
    order.attrs |= {within: share, "clusterer": clusterer}
    return order


def _groups_wanted(num_nodes: int, options: PartitionOptions) -> int:
    """How many super-nodes or parts; raises UserError for more than nodes."""
    if options.method == "random":
        return num_nodes
    if options.method == "min-cut":
        what, wanted = "parts", options.parts
    else:
        what, wanted = "super-nodes", options.super_nodes or default_super_nodes(num_nodes)
    if wanted > num_nodes:
        raise UserError(f"{wanted} {what} asked for, but the graph has only {num_nodes} nodes")
    return wanted


def default_super_nodes(num_nodes: int) -> int:
    """One per 200 nodes; at least 256, but of 20 nodes each; at most 15,000."""
    least = max(1, min(MIN_SUPER_NODES, num_nodes // LEAST_NODES))
    return max(least, min(MAX_SUPER_NODES, num_nodes // NODES_PER_SUPER_NODE))
