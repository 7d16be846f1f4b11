"""`hvdtma partition`: the same graph under another order of node ids."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from hvdtma.console import stage
from hvdtma.errors import UserError, check_seed, nearest
from hvdtma.graph.blocks import sensible_block_size
from hvdtma.graph.build import provenance
from hvdtma.graph.csc import CSC
from hvdtma.graph.memory import read_graph, renumber, write_graph
from hvdtma.graph.store import GraphStore, refuse_existing
from hvdtma.partition.deal import check_trainers
from hvdtma.partition.orders import Order, min_cut_order, random_order, super_node_order

METHODS = ["random", "super", "min-cut"]
NODES_PER_SUPER_NODE = 200  # the paper's 15,000 on ogbl-citation2's 2.9 million nodes
MIN_SUPER_NODES, MAX_SUPER_NODES = 256, 15_000
LEAST_NODES = 20  # of a super-node; of smaller ones the order is nearly a random one


@dataclass(frozen=True)
class PartitionOptions:
    """How nodes are ordered.

    Attributes:
        method: `random` (RandomTMA), `super` (SuperTMA) or `min-cut` (PSGD-PA).
        super_nodes: METIS clusters for `super` (None: one per 200 nodes, at most the paper's
            15,000, at least 256 unless they would have fewer than 20 nodes).
        parts: METIS parts for `min-cut`; at most so many trainers can be dealt to.
        seed: of METIS and of the shuffle.
        block_nodes: nodes per block (None: as in `build`).
    """

    method: str = "random"
    super_nodes: int | None = None
    parts: int = 3
    seed: int = 0
    block_nodes: int | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"unknown method '{self.method}'; {nearest(self.method, METHODS)}")
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
) -> GraphStore:
    """Write `store` again at `path` in another order and open it.

    Raises UserError if `path` exists (unless `overwrite`), more groups than nodes are asked for,
    or `trainers` are given and could not be dealt to.
    """
    options = options or PartitionOptions()
    refuse_existing(Path(path), overwrite)
    with stage("reading"):
        graph = read_graph(store)
    with stage(f"{options.method} order"):
        size = options.block_nodes or sensible_block_size(graph.num_nodes, graph.feat[:1].nbytes)
        order = _order(graph.csc, size, options)
    if trainers is not None:
        parts = order.part_offsets
        units = order.block_offsets if parts is None else parts
        check_trainers(trainers, len(units) - 1, whole_parts=parts is not None)
    graph.attrs["provenance"] = [
        *graph.attrs["provenance"],
        provenance("partition", source=str(store.path), options=asdict(options)),
    ]
    with stage("renumbering and writing"):
        return write_graph(
            path,
            renumber(graph, order.nodes),
            order.block_offsets,
            order={"method": options.method, "seed": options.seed, **order.attrs},
            part_offsets=order.part_offsets,
            overwrite=overwrite,
        )


def _order(csc: CSC, block_nodes: int, options: PartitionOptions) -> Order:
    if options.method == "random":
        return random_order(csc, block_nodes, seed=options.seed)
    if options.method == "min-cut":
        _refuse_more_than_nodes("parts", options.parts, csc.num_nodes)
        return min_cut_order(csc, block_nodes, seed=options.seed, parts=options.parts)
    wanted = options.super_nodes or default_super_nodes(csc.num_nodes)
    _refuse_more_than_nodes("super-nodes", wanted, csc.num_nodes)
    return super_node_order(csc, block_nodes, seed=options.seed, super_nodes=wanted)


def default_super_nodes(num_nodes: int) -> int:
    """One per 200 nodes; at least 256, but of 20 nodes each; at most 15,000."""
    least = max(1, min(MIN_SUPER_NODES, num_nodes // LEAST_NODES))
    return max(least, min(MAX_SUPER_NODES, num_nodes // NODES_PER_SUPER_NODE))


def _refuse_more_than_nodes(what: str, number: int, num_nodes: int) -> None:
    if number > num_nodes:
        raise UserError(f"{number} {what} asked for, but the graph has only {num_nodes} nodes")
