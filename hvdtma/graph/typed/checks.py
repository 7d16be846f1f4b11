"""The checks of `hvdtma verify` that only typed stores have.

Legend: N nodes, n nodes of a piece, D features, R edge types.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.compiled import njit
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.split_parts import HELD_OUT_PARTS
from hvdtma.graph.hashing import mix
from hvdtma.graph.neighbour_means import neighbour_means
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import StoredRows
from hvdtma.graph.stream import row_pieces
from hvdtma.graph.typed.arrays import degree_features, first_hop_available
from hvdtma.graph.typed.edges_of_type import (
    EdgesOfType,
    degree_pieces,
    indptr_with_edges,
    own_indptr,
)
from hvdtma.graph.typed.hop_rows import hop_offsets
from hvdtma.graph.typed.schema import DEGREES, GraphSchema

ROWS_AT_ONCE = 1 << 16


def layout_fits(store: GraphStore, memory: MemoryBudget) -> str | None:
    """Whether the types stand in order in each block, and every array has its type's length."""
    schema = store.schema
    assert schema is not None
    offsets = store.read("type_offsets")
    if offsets.shape != (store.num_blocks, len(schema.node_types) + 1):
        return f"type_offsets has the shape {list(offsets.shape)}"
    ends = np.stack([store.block_offsets[:-1], store.block_offsets[1:]], axis=1)
    if (offsets[:, [0, -1]] != ends).any() or (np.diff(offsets, axis=1) < 0).any():
        return "the types of nodes do not cover the blocks in order"
    sizes = store.layout.sizes
    if "first_hop" in store:
        wanted = (store.num_blocks + 1, len(schema.edge_types))
        if "hop_offsets" not in store or store.hop_offsets.shape != wanted:
            return f"hop_offsets is missing, or has not the shape {list(wanted)}"
    if tuple(sizes.tolist()) != schema.sizes:
        return f"type_offsets has {sizes.tolist()} nodes by type, not {list(schema.sizes)}"
    shapes: dict[str, tuple[int, ...]] = {
        f"feat/{t}": (int(sizes[t]), schema.dims[t]) for t in range(len(sizes))
    }
    for number, (src, dst) in enumerate(schema.ends.tolist()):
        shapes[f"in_degree/{number}"] = (int(sizes[dst]),)
        if "first_hop" in store:
            shapes[f"first_hop/{number}"] = (int(store.hop_offsets[-1, number]), schema.dims[src])
    for name, shape in shapes.items():
        if name not in store.array_names:
            return f"the array {name} is missing"
        if store.array(name).shape != shape:
            return f"{name} has the shape {list(store.array(name).shape)}, not {list(shape)}"
    return None


def ends_fit(store: GraphStore, memory: MemoryBudget) -> str | None:
    """Whether the ends of every edge, and of every held-out link, have the types of its name."""
    schema = store.schema
    assert schema is not None
    first = 0
    for read in row_pieces(store):
        rows = read()
        last = first + len(rows.indices)
        dst = np.repeat(
            np.arange(rows.first, rows.first + len(rows.indptr) - 1), np.diff(rows.indptr)
        )
        wrong = _num_wrong(store, schema, rows.indices, dst, store.read("edge_type", first, last))
        if wrong:
            return f"{wrong} edges have ends of another type than their edge type has"
        first = last
    for part in HELD_OUT_PARTS:
        pairs = store.links(part) if f"split/{part}/edge_type" in store else None
        if pairs is not None and pairs.edge_type is not None:
            wrong = _num_wrong(store, schema, pairs.src, pairs.dst, pairs.edge_type)
            if wrong:
                return f"{wrong} {part} links have ends of another type than their edge type has"
    return None


def _num_wrong(
    store: GraphStore, schema: GraphSchema, src: np.ndarray, dst: np.ndarray, kind: np.ndarray
) -> int:
    found = np.stack([store.layout.types_and_own(end.astype(np.int64))[0] for end in (src, dst)], 1)
    return int((found != schema.ends[kind]).any(1).sum())


def degrees_fit(store: GraphStore, memory: MemoryBudget) -> str | None:
    """Whether in-degrees by edge type, and the features made of them, are those of the graph."""
    schema = store.schema
    assert schema is not None
    done = np.zeros(len(schema.node_types), np.int64)
    for type_n, degree_nR in degree_pieces(store.read, store.layout, len(schema.edge_types)):
        for node_type in np.unique(type_n).tolist():
            here = degree_nR[type_n == node_type]
            start, stop = int(done[node_type]), int(done[node_type]) + len(here)
            done[node_type] = stop
            into = schema.into(node_type)
            for number in into:
                if (store.read(f"in_degree/{number}", start, stop) != here[:, number]).any():
                    return f"in_degree of '{schema.edge_types[number]}' is not that of the graph"
            if schema.features[node_type] == DEGREES:
                degrees = [here[:, number] for number in into] or [np.zeros((len(here), 0))]
                wanted = degree_features(degrees).astype(store.feature_dtype)
                if not np.allclose(store.read(f"feat/{node_type}", start, stop), wanted, rtol=1e-3):
                    return f"the features of '{schema.node_types[node_type]}' are not its degrees"
    return _hop_offsets_problem(store, schema)


def _hop_offsets_problem(store: GraphStore, schema: GraphSchema) -> str | None:
    """Whether the first hop has its rows where the in-degrees say."""
    if "first_hop" not in store:
        return None
    wanted = hop_offsets(lambda number: store.read(f"in_degree/{number}"), schema, store.layout)
    same = np.array_equal(store.hop_offsets, wanted)
    return None if same else "hop_offsets is not that of the in-degrees"


def typed_first_hop_gap(store: GraphStore, memory: MemoryBudget) -> tuple[float, float]:
    """The largest difference of a stored mean from that of the neighbours; the largest mean."""
    schema, layout, indptr = store.schema, store.layout, store.read("indptr")
    assert schema is not None
    available = first_hop_available(layout, store.feature_dtype.itemsize, memory)
    gap, largest = 0.0, 1.0
    for number, (src, dst) in enumerate(schema.ends.tolist()):
        own = own_indptr(store.read(f"in_degree/{number}"))
        edges = EdgesOfType(store.read, layout, number, (src, dst), indptr, own)
        start, with_edges = 0, indptr_with_edges(own)
        rows = StoredRows(store, f"feat/{src}")
        for mean_nD in neighbour_means(with_edges, edges, rows, memory_bytes=available):
            found = store.read(f"first_hop/{number}", start, start + len(mean_nD))
            start += len(mean_nD)
            gap = float(np.maximum(gap, np.abs(found - mean_nD).max(initial=0)))  # NaN stays
            largest = float(np.maximum(largest, np.abs(mean_nD).max(initial=0)))
    return gap, largest


def reverse_types_match(store: GraphStore, memory: MemoryBudget) -> str | None:
    """Whether an edge type and its reverse have the same links, by a fingerprint of each."""
    schema = store.schema
    assert schema is not None
    there = np.zeros(len(schema.edge_types), np.uint64)
    back, first = there.copy(), 0
    for read in row_pieces(store):
        rows = read()
        kinds = store.read("edge_type", first, first + len(rows.indices))
        first += len(rows.indices)
        _add_fingerprints(rows.first, rows.indptr, rows.indices, kinds, there, back)
    for number in schema.forward:
        other = schema.reverse_of(number)
        if other is not None and there[number] != back[other]:
            name, reverse = schema.edge_types[number], schema.edge_types[other]
            return f"'{name}' and '{reverse}' do not have the same links"
    return None


@njit()
def _add_fingerprints(
    first: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    kinds: np.ndarray,
    there: np.ndarray,
    back: np.ndarray,
) -> None:
    """Add hashes of (source, destination) and of (destination, source) by edge type, mod 2^64."""
    for row in range(len(indptr) - 1):
        dst = np.uint64(first + row)
        for edge in range(indptr[row], indptr[row + 1]):
            src = np.uint64(indices[edge])
            there[kinds[edge]] += mix(mix(src) ^ dst)
            back[kinds[edge]] += mix(mix(dst) ^ src)


def typed_ids_repeat(store: GraphStore) -> str | None:
    """The first node type in which an id stands twice, in words; None if there is none."""
    schema, layout = store.schema, store.layout
    assert schema is not None
    ids = store.node_ids().values
    for number, name in enumerate(schema.node_types):
        nodes = layout.nodes(number, np.arange(schema.sizes[number]))
        distinct = pc.count_distinct(ids.take(pa.array(nodes))).as_py()
        if distinct != len(nodes):
            return f"{distinct} distinct ids in {len(nodes)} nodes of the type '{name}'"
    return None


TypedCheck = Callable[[GraphStore, MemoryBudget], str | None]

TYPED_STRUCTURE: dict[str, TypedCheck] = {
    "types of nodes stand in order in every block": layout_fits,
    "ends of edges are of the types that the edge type names": ends_fit,
    "in-degrees by edge type are those of the graph": degrees_fit,  # edges are read by them
}
TYPED_GUARANTEES: dict[str, TypedCheck] = {
    "reverse edge types have the same links": reverse_types_match,
}
