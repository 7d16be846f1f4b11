"""From what a source gives to a store: scatter, sort, hold out, renumber, summarise, write.

Every step goes through the graph in pieces, so that memory is bounded whatever the number of
edges; a graph that fits never touches the disk before it is written.

Legend: N nodes, E edges as given, D features.

Rules: self-loops are dropped. Of several edges between the same two nodes one is kept: for an
undirected graph one per unordered pair, for a directed one per (source, destination, type); where
types differ, the one listed first in `edge_type_names`. Each is counted and reported.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from hvdtma.core.memory import MemoryBudget
from hvdtma.core.version import __version__
from hvdtma.graph.blocks import equal_blocks, sensible_block_size
from hvdtma.graph.builder.disk import refuse_too_large
from hvdtma.graph.builder.edges import write_edges
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.rows import features_of, write_features, write_nodes
from hvdtma.graph.builder.sizes import BuildSizes
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.first_hop import write_first_hop
from hvdtma.graph.raw import Source
from hvdtma.graph.store import GraphStore
from hvdtma.storage.writer import StoreWriter, refuse_existing


def build(
    path: str | Path,
    source: Source,
    options: BuildOptions | None = None,
    *,
    overwrite: bool = False,
    memory_gb: float | None = None,
) -> GraphStore:
    """Write `source` as a store at `path` and open it.

    Args:
        memory_gb: GiB that this process may hold (None: half of what is free). The store does not
            depend on it.

    Raises UserError for arrays of the source that do not fit one another, an empty split, features
    that are not finite, an existing `path` (unless `overwrite`), a full disk, too little memory.
    """
    options = options or BuildOptions()
    refuse_existing(Path(path), overwrite)
    source.check()
    memory = MemoryBudget.limit(memory_gb).reserve(source.held_bytes)
    sizes = BuildSizes.of(source, options)
    sizes.check_memory(memory)
    refuse_too_large(Path(path), sizes, memory)
    random = np.random.default_rng(options.seed)
    streams = random.spawn(4)  # independent of one another
    order_N = _order(source.num_nodes, options, streams[0])
    with StoreWriter(Path(path), overwrite) as writer:
        counts = write_edges(writer, source, order_N, options, memory, streams[1])
        rows, order_of_rows = features_of(writer, source, options, order_N, memory)
        dim, dtype = rows.shape[1], np.dtype(options.feature_dtype)
        size = options.block_nodes or sensible_block_size(source.num_nodes, dim * dtype.itemsize)
        writer.put("block_offsets", equal_blocks(source.num_nodes, size))
        write_features(writer, rows, order_of_rows, source.node_id, dtype, size, memory)
        del rows  # they may be in memory
        if options.first_hop:
            write_first_hop(writer, memory.reserve(order_N.nbytes), size)
        write_nodes(writer, source, order_N, options, size, streams[2])
        given = source.link_split or {}
        writer.attrs |= {
            "num_nodes": source.num_nodes,
            "undirected": source.undirected,
            "feature_dim": dim,
            "order": {"method": options.order, "seed": options.seed},
            "label_names": source.label_names,
            "edge_type_names": source.edge_type_names,
            "negatives_given": [part for part in given if given[part].neg is not None],
            "counts": {name: int(count) for name, count in counts.items() if count},
            "provenance": [provenance("build", source=source.source, options=asdict(options))],
        }
    return GraphStore(path)


def provenance(command: str, **what: object) -> dict:
    """An entry for a store's provenance: which command made it, from what, with which version."""
    return {"command": command, "hvdtma": __version__, **what}


def _order(num_nodes: int, options: BuildOptions, rng: np.random.Generator) -> np.ndarray:
    """The source's node at each place of the store; empty where nodes keep theirs."""
    if options.order == "given":
        return np.zeros(0, index_dtype(num_nodes))
    order_N: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
    rng.shuffle(order_N)
    return order_N
