"""Build the store of a typed graph.

The steps are those of `build_store`. The nodes of each block stand by type, features are an array
per node type, and the first hop is an array per edge type.

Legend: N nodes, D features, B blocks, T node types.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from hvdtma.core.console import console, progress
from hvdtma.core.digests import digest_of
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.blocks import default_block_size, equal_blocks, rows_per_chunk
from hvdtma.graph.builder.disk import check_build_disk
from hvdtma.graph.builder.edges import write_edges
from hvdtma.graph.builder.features import given_features, write_features
from hvdtma.graph.builder.nodes import write_nodes
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.typed_sizes import TypedSizes
from hvdtma.graph.targets import kind_of
from hvdtma.graph.typed.arrays import (
    degree_feature_pieces,
    write_degrees,
    write_typed_first_hop,
)
from hvdtma.graph.typed.layout import NodeLayout, by_type_in_blocks, row_width
from hvdtma.graph.typed.schema import DEGREES, GraphSchema
from hvdtma.graph.typed.source import TypedGraph
from hvdtma.storage.writer import StoreWriter


def check_typed_options(options: BuildOptions, schema: GraphSchema) -> None:
    """Raise UserError for options that typed graphs do not have, and for an unknown target."""
    for name, valid, why in (
        ("split", "random", "the links and nodes of a typed graph are held out at random"),
        ("features_like", None, "typed stores keep no projection of their features"),
        ("negative_destinations", "auto", "negatives are of the type of the end they replace"),
    ):
        if getattr(options, name) != valid:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} {getattr(options, name)} is not for typed graphs: {why}")
    schema.edge_type_numbers(options.target, "target")


def write_typed_store(
    writer: StoreWriter,
    source: TypedGraph,
    options: BuildOptions,
    memory: MemoryBudget,
    streams: list[np.random.Generator],
) -> None:
    """Write the arrays and attributes of a typed graph, except its provenance.

    Args:
        streams: three generators: of the order, of held-out links, and of held-out nodes.
    """
    dtype = np.dtype(options.feature_dtype)
    order_N, layout, block_offsets = _order(source, options, streams[0])
    counts = write_edges(writer, source, order_N, options, memory, streams[1])
    writer.put("block_offsets", block_offsets)
    writer.put("type_offsets", layout.offsets)
    num_edges = write_degrees(writer, source.schema, layout)
    held_out = writer.attrs.pop("held_out_types", {})
    schema = replace(source.schema, num_edges=num_edges, held_out=held_out)
    schema = _write_features(writer, source, schema, layout, order_N, options, memory)
    hop_dim = 0
    if options.first_hop:
        reserved = memory.reserve(order_N.nbytes)
        hop_dim = write_typed_first_hop(writer, schema, layout, reserved, dtype)
    block_nodes = int(np.diff(block_offsets).max())
    counts |= write_nodes(writer, source, order_N, options, block_nodes, streams[2])
    given = source.link_split or {}
    writer.attrs |= {
        "num_nodes": source.num_nodes,
        "undirected": False,
        "schema": schema.as_attrs(),
        "feature_dim": row_width(schema, layout),
        "hop_dim": hop_dim,
        "features": _identity(writer, schema),
        "order": {"method": options.order, "seed": options.seed},
        "label_names": source.label_names,
        "label_kind": kind_of(source),
        "edge_type_names": source.edge_type_names,
        "negatives_given": [part for part in given if given[part].neg is not None],
        "counts": {name: int(count) for name, count in counts.items() if count},
    }


def _identity(writer: StoreWriter, schema: GraphSchema) -> dict[str, object]:
    """What tells the features of one store from those of another, as a model sees them.

    Features that are reduced lie on axes of their own: other stores have others.
    """
    sums = writer.attrs["checksums"]
    reduced = [sums[f"feat/{t}"] for t, kind in enumerate(schema.features) if kind == "svd"]
    facts = [schema.node_types, schema.edge_types, schema.dims, schema.features, reduced]
    digest = digest_of(json.dumps(facts).encode())
    return {"kind": "typed", "dim": sum(schema.dims), "fingerprint": digest}


def check_typed_sizes(
    path: Path, source: TypedGraph, options: BuildOptions, memory: MemoryBudget
) -> None:
    """Raise UserError for options that do not fit, and for too little memory or disk."""
    check_typed_options(options, source.schema)
    sizes = TypedSizes.of(source, options)
    sizes.check_memory(memory)
    check_build_disk(path, sizes, memory)


def _order(
    source: TypedGraph, options: BuildOptions, rng: np.random.Generator
) -> tuple[np.ndarray, NodeLayout, np.ndarray]:
    """The source's node at each position of the store, the layout, and the blocks."""
    num_nodes = source.num_nodes
    dims = TypedSizes.of(source, options).schema.dims
    mean_dim = sum(n * dim for n, dim in zip(source.schema.sizes, dims, strict=True)) / num_nodes
    row_bytes = int(np.ceil(mean_dim * np.dtype(options.feature_dtype).itemsize))
    size = options.block_nodes or default_block_size(num_nodes, row_bytes)
    order_N: np.ndarray = np.arange(num_nodes, dtype=np.int64)
    if options.order == "random":
        rng.shuffle(order_N)
    offsets = equal_blocks(num_nodes, size)
    types = np.repeat(np.arange(len(source.schema.sizes)), source.schema.sizes)
    order_N, layout = by_type_in_blocks(order_N, types, offsets, len(source.schema.sizes))
    return order_N, layout, offsets


def _write_features(
    writer: StoreWriter,
    source: TypedGraph,
    schema: GraphSchema,
    layout: NodeLayout,
    order_N: np.ndarray,
    options: BuildOptions,
    memory: MemoryBudget,
) -> GraphSchema:
    """Write `feat/T` of each node type; return the schema with the widths of the features."""
    dtype, dims, kinds, without = np.dtype(options.feature_dtype), [], [], []
    memory = memory.reserve(order_N.nbytes)
    for number, (name, nodes) in enumerate(source.nodes.items()):
        size = max(len(nodes) // len(layout.offsets), 1)
        if nodes.feat is None:
            dims.append(max(len(schema.into(number)), 1))
            kinds.append(DEGREES)
            without.append(name)
            pieces = degree_feature_pieces(writer, schema, number, len(nodes))
            chunk_rows = rows_per_chunk(size, dims[-1] * dtype.itemsize)
            with (
                progress(f"degrees of {name}", len(nodes), "nodes") as advance,
                writer.create_array(
                    f"feat/{number}", dtype, len(nodes), (dims[-1],), chunk_rows=chunk_rows
                ) as out,
            ):
                for values in pieces:
                    out.append(values.astype(dtype))
                    advance(len(values))
            continue
        first, end = source.first[number : number + 2]
        own_n = order_N[(order_N >= first) & (order_N < end)] - first
        rows, order_n, projection = given_features(nodes.feat, options, memory, own_n, None)
        kinds.append(projection.kind)
        dims.append(rows.shape[1])
        write_features(writer, rows, order_n, nodes.ids, dtype, size, memory, name=f"feat/{number}")
    if without:
        console.print(
            f"no features for {', '.join(without)}: the logarithm of the in-degree of each edge "
            "type is used",
            soft_wrap=True,
            markup=False,
        )
    return replace(schema, dims=tuple(dims), features=tuple(kinds))
