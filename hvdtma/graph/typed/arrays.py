"""The arrays that only typed stores have: degrees, degree features, the first hop by edge type.

Legend: N nodes, D features, T node types, R edge types, n nodes of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np

from hvdtma.core.console import progress
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.first_hop import available_for_first_hop
from hvdtma.graph.neighbour_means import neighbour_means
from hvdtma.graph.typed.edges_of_type import (
    EdgesOfType,
    degree_pieces,
    indptr_with_edges,
    own_indptr,
)
from hvdtma.graph.typed.hop_rows import hop_offsets, hop_width
from hvdtma.graph.typed.layout import NodeLayout
from hvdtma.graph.typed.schema import GraphSchema
from hvdtma.storage.writer import StoreWriter

ROWS_AT_ONCE = 1 << 16


def write_degrees(writer: StoreWriter, schema: GraphSchema, layout: NodeLayout) -> tuple[int, ...]:
    """Write `in_degree/R` int32 of each edge type, and the largest in-degree of all.

    Returns the number of edges of each type.
    """
    num_edges, most = np.zeros(len(schema.edge_types), np.int64), 0
    readers = {name: writer.reader(name) for name in ("indptr", "edge_type")}
    with ExitStack() as stack:
        arrays = [
            stack.enter_context(
                writer.create_array(f"in_degree/{number}", np.int32, int(layout.sizes[dst]))
            )
            for number, dst in enumerate(schema.ends[:, 1].tolist())
        ]
        pieces = degree_pieces(lambda name, a, b: readers[name][a:b], layout, len(num_edges))
        for type_n, degree_nR in pieces:
            num_edges += degree_nR.sum(0, dtype=np.int64)
            most = max(most, int(degree_nR.sum(1, dtype=np.int64).max(initial=0)))
            for number, dst in enumerate(schema.ends[:, 1].tolist()):
                arrays[number].append(degree_nR[type_n == dst, number])
    writer.attrs["max_degree"] = most
    return tuple(num_edges.tolist())


def degree_features(degrees: list[np.ndarray]) -> np.ndarray:
    """Features float32 [n, D] of nodes: log(1 + d) of their in-degrees by edge type; 1 without."""
    if len(degrees[0].shape) > 1:  # no edge type leads to the node type
        return np.ones((len(degrees[0]), 1), np.float32)
    return np.log1p(np.stack(degrees, axis=1).astype(np.float32))


def degree_feature_pieces(
    writer: StoreWriter, schema: GraphSchema, node_type: int, num_nodes: int
) -> Iterator[np.ndarray]:
    """The degree features of a node type, in pieces."""
    readers = [writer.reader(f"in_degree/{number}") for number in schema.into(node_type)]
    for start in range(0, num_nodes, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, num_nodes)
        degrees = [reader[start:stop] for reader in readers]
        yield degree_features(degrees or [np.zeros((stop - start, 0))])


def first_hop_available(layout: NodeLayout, itemsize: int, memory: MemoryBudget) -> int:
    """The memory for the means of one edge type; raises UserError if `memory` is too small."""
    own_bytes = 8 * (layout.num_nodes + 1)
    return available_for_first_hop(layout.num_nodes, itemsize, memory.reserve(own_bytes))


def write_typed_first_hop(
    writer: StoreWriter,
    schema: GraphSchema,
    layout: NodeLayout,
    memory: MemoryBudget,
    dtype: np.dtype,
) -> int:
    """Write `first_hop/R` [M, width of the sources' features] of each edge type, `hop_offsets`.

    M destinations have in-edges of the type. Returns the values per node; see `hop_width`.
    """
    available = first_hop_available(layout, dtype.itemsize, memory)
    readers = {name: writer.reader(name) for name in ("indptr", "indices", "edge_type")}
    indptr = readers["indptr"][:]
    total = sum(
        n * schema.dims[src] for n, (src, _) in zip(schema.num_edges, schema.ends, strict=True)
    )
    with progress("first hop", total, "edges x features") as advance:
        for number, (src, dst) in enumerate(schema.ends.tolist()):
            own = own_indptr(writer.reader(f"in_degree/{number}")[:])
            edges = EdgesOfType(
                lambda name, a, b: readers[name][a:b], layout, number, (src, dst), indptr, own
            )
            with_edges = indptr_with_edges(own)
            with writer.create_array(
                f"first_hop/{number}", dtype, len(with_edges) - 1, (schema.dims[src],)
            ) as out:
                for mean_nD in neighbour_means(
                    with_edges,
                    edges,
                    writer.reader(f"feat/{src}"),
                    memory_bytes=available,
                    folder=writer.scratch_folder(),
                    dtype=dtype,
                    advance=advance,
                ):
                    out.append(mean_nD)
    return write_hop_offsets(writer, schema, layout)


def write_hop_offsets(writer: StoreWriter, schema: GraphSchema, layout: NodeLayout) -> int:
    """Write `hop_offsets`, from the in-degrees; return the values of the first hop per node."""
    offsets = hop_offsets(lambda r: writer.reader(f"in_degree/{r}")[:], schema, layout)
    writer.put("hop_offsets", offsets)
    return hop_width(schema, offsets, layout.counts.sum(1))
