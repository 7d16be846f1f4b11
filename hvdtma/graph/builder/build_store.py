"""Build a store from a source: edges, held-out links, features, first hop, ids and labels.

Every step processes the graph in pieces, so memory is bounded whatever the number of edges. For a
graph that fits in memory no temporary files are written.

Self-loops are dropped. Repeated edges are merged: in an undirected graph to one per unordered pair,
of the type that comes first in `edge_type_names`; in a directed graph to one per (source,
destination, type). The weights of merged edges are added. Dropped and merged edges are counted and
reported.

Legend: N nodes, E edges as given, D features.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.version import __version__
from hvdtma.graph.blocks import default_block_size, equal_blocks
from hvdtma.graph.builder.budget import BuildSizes
from hvdtma.graph.builder.build_typed import check_typed_sizes, write_typed_store
from hvdtma.graph.builder.disk import check_build_disk
from hvdtma.graph.builder.edges import write_edges
from hvdtma.graph.builder.features import features_of, write_features
from hvdtma.graph.builder.nodes import write_nodes
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.projected import store_like
from hvdtma.graph.builder.projection import Projection, projection_bytes, working_bytes
from hvdtma.graph.builder.times import check_times, forward_messages
from hvdtma.graph.builder.weights import weight_range
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.first_hop import write_first_hop
from hvdtma.graph.source import Source, is_weighted
from hvdtma.graph.store import GraphStore
from hvdtma.graph.targets import kind_of
from hvdtma.graph.typed.source import TypedGraph
from hvdtma.storage.writer import StoreWriter, refuse_existing


def build(
    path: str | Path,
    source: Source,
    options: BuildOptions | None = None,
    *,
    overwrite: bool = False,
    memory_gb: float | None = None,
) -> GraphStore:
    """Write the graph of a source as a store at `path`, and open the store.

    Args:
        memory_gb: memory limit of this process in GiB (None: half of the free memory). The store
            does not depend on it.

    Raises UserError for arrays of wrong lengths or values, an empty split, features that are not
    finite, an existing `path` (unless `overwrite`), a full disk, and too little memory.
    """
    options = options or BuildOptions()
    refuse_existing(Path(path), overwrite)
    source.check()
    if isinstance(source, TypedGraph):
        return _build_typed(Path(path), source, options, overwrite, memory_gb)
    if options.target is not None:
        raise UserError("target names edge types of a typed graph; this graph has no node types")
    check_times(source, options)
    memory = MemoryBudget.limit(memory_gb).reserve(source.reserved_bytes)
    old, sizes = store_like(options, source), BuildSizes.of(source, options)
    if old is not None:
        memory = memory.reserve(working_bytes(old, source.num_nodes))
        sizes = sizes.projected(old.feature_dim, projection_bytes(old))
    sizes.check_memory(memory)
    check_build_disk(Path(path), sizes, memory)
    like = None if old is None else Projection.read(old)
    random = np.random.default_rng(options.seed)
    streams = random.spawn(4)  # independent of one another
    order_N = _order(source.num_nodes, options, streams[0])
    with StoreWriter(Path(path), overwrite) as writer:
        counts = write_edges(writer, source, order_N, options, memory, streams[1])
        made = features_of(writer, source, options, order_N, memory, like)
        dim, dtype = made.rows.shape[1], np.dtype(options.feature_dtype)
        size = options.block_nodes or default_block_size(source.num_nodes, dim * dtype.itemsize)
        writer.put("block_offsets", equal_blocks(source.num_nodes, size))
        write_features(writer, made.rows, made.order_N, source.node_id, dtype, size, memory)
        made.projection.write(writer)
        counts |= made.counts
        del made  # to free features in memory
        if options.first_hop:
            write_first_hop(writer, memory.reserve(order_N.nbytes), size)
        counts |= write_nodes(writer, source, order_N, options, size, streams[2])
        if is_weighted(source):
            writer.attrs["weights"] = weight_range(writer)
        forward = forward_messages(source, options) is not None
        if forward:
            writer.attrs["message_order"] = "time"
        given = source.link_split or {}
        writer.attrs |= {
            "num_nodes": source.num_nodes,
            "undirected": source.undirected and not forward,
            "feature_dim": dim,
            "order": {"method": options.order, "seed": options.seed},
            "label_names": source.label_names,
            "label_kind": kind_of(source),
            "edge_type_names": source.edge_type_names,
            "negatives_given": [part for part in given if given[part].neg is not None],
            "counts": {name: int(count) for name, count in counts.items() if count},
            "provenance": [provenance("build", source=source.origin, options=_given(options))],
        }
    return GraphStore(path)


def _build_typed(
    path: Path,
    source: TypedGraph,
    options: BuildOptions,
    overwrite: bool,
    memory_gb: float | None,
) -> GraphStore:
    """`build` for a graph with node types."""
    memory = MemoryBudget.limit(memory_gb).reserve(source.reserved_bytes)
    check_typed_sizes(path, source, options, memory)
    streams = np.random.default_rng(options.seed).spawn(4)
    with StoreWriter(path, overwrite) as writer:
        write_typed_store(writer, source, options, memory, streams)
        step = provenance("build", source=source.origin, options=_given(options))
        writer.attrs["provenance"] = [step]
    return GraphStore(path)


def _given(options: BuildOptions) -> dict:
    """The options for the provenance; `target` only where it is given."""
    values = asdict(options)
    if options.target is None:
        del values["target"]
    return values


def provenance(command: str, **details: object) -> dict:
    """An entry of a store's provenance: the command, the version, and details."""
    return {"command": command, "hvdtma": __version__, **details}


def _order(num_nodes: int, options: BuildOptions, rng: np.random.Generator) -> np.ndarray:
    """The source's node at each position of the store; empty to keep the source's order."""
    if options.order == "given":
        return np.zeros(0, index_dtype(num_nodes))
    order_N: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
    rng.shuffle(order_N)
    return order_N
