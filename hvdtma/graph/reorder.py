"""Write a store in another order of nodes, within a memory limit.

Edges are renumbered, scattered and sorted as in `build`; node arrays are shuffled in two sequential
passes; held-out links are renumbered in pieces. The memory that grows with the graph is the new
number of each node, and a mark per node for the node split: 5 bytes per node (9 from 2^31 nodes).

Legend: N nodes, E edges, D features, n held-out links, K negatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hvdtma.core.console import progress, stage
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.blocks import SMALL_CHUNK_BYTES, rows_per_chunk
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.edge_sorter import KEY_BYTES, EdgeSorter, value_bytes
from hvdtma.graph.sort.shuffle import least_bytes, shuffled_rows
from hvdtma.graph.sort.strings import shuffled_ids
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import array_pieces, edge_batches, edges_per_batch
from hvdtma.graph.typed.arrays import write_hop_offsets
from hvdtma.graph.typed.layout import NodeLayout, row_width
from hvdtma.graph.write_csc import write_csc
from hvdtma.storage.array_writer import CHUNK_BYTES
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter

KEPT_ATTRS = (
    "graph",
    "features",
    "label_names",
    "label_kind",
    "training_labels",
    "edge_type_names",
    "schema",
    "max_degree",
    "negatives_given",
    "candidates",
    "counts",
    "weights",
    "times",
    "message_order",
    "provenance",
)
NODE_ARRAYS = ("feat", "first_hop", "label", "candidates")
TYPED_ARRAYS = ("feat", "in_degree", "first_hop")  # with a number: of a node type or edge type
MARK_BYTES = 1  # per node
IDS_PER_PIECE = 1 << 18


def rank_of(order_N: np.ndarray) -> np.ndarray:
    """The position of each node in an order, [N]; the inverse permutation."""
    rank_N: np.ndarray = np.empty(len(order_N), index_dtype(len(order_N)))
    rank_N[order_N] = np.arange(len(order_N), dtype=rank_N.dtype)
    return rank_N


def write_reordered(
    writer: StoreWriter,
    store: GraphStore,
    rank_N: np.ndarray,
    block_offsets: np.ndarray,
    memory: MemoryBudget,
    block_nodes: int | None = None,
    layout: NodeLayout | None = None,
) -> None:
    """Write the arrays and attributes of `store`, with node v renumbered to rank_N[v].

    Args:
        rank_N: a permutation, int32 or int64 [N].
        block_offsets: int64 [B+1].
        block_nodes: nodes per block if blocks are equal; then chunks are whole blocks.
        layout: of a typed graph in the new order.

    Raises UserError for too little memory, and for a damaged store.
    """
    reserved_bytes = rank_N.nbytes + MARK_BYTES * store.num_nodes
    purpose = f"renumbering {store.num_nodes:,} nodes"
    memory.available(reserved_bytes + reorder_work_bytes(store), purpose)
    memory_bytes = memory.available(reserved_bytes, purpose) * 3 // 4  # the rest: reads and writes
    _write_edges(writer, store, rank_N, memory_bytes)
    for name in NODE_ARRAYS:
        if name in store.array_names:
            _write_rows(writer, store, name, rank_N, memory_bytes, block_nodes)
    if layout is not None:
        _write_typed_rows(writer, store, rank_N, layout, memory_bytes)
    with stage("ids and splits"):
        _write_ids(writer, store, rank_N, memory_bytes)
        _write_links(writer, store, rank_N)
        _write_node_split(writer, store, rank_N)
    _copy_projection(writer, store)
    writer.put("block_offsets", block_offsets)
    kept = {key: store.attrs[key] for key in KEPT_ATTRS if key in store.attrs}
    writer.attrs |= kept | {
        "num_nodes": store.num_nodes,
        "undirected": store.undirected,
        "feature_dim": store.feature_dim,
    }
    if layout is not None and store.schema is not None:
        writer.put("type_offsets", layout.offsets)
        writer.attrs["feature_dim"] = row_width(store.schema, layout)
        has_hop = "first_hop" in store
        hop_dim = write_hop_offsets(writer, store.schema, layout) if has_hop else 0
        writer.attrs["hop_dim"] = hop_dim


def reorder_work_bytes(store: GraphStore) -> int:
    """The least memory to work in: one of 512 buckets, of edges or of rows."""
    arrays = [*NODE_ARRAYS, *_typed_arrays(store)]
    row_bytes = max(_row_bytes(store, name) for name in arrays if name in store.array_names)
    sorting = EdgeSorter.least_bytes(store.num_edges, value_bytes(_value(store)))
    least = max(sorting, least_bytes(store.num_nodes, row_bytes))
    return least * 4 // 3


def reorder_disk_bytes(store: GraphStore) -> int:
    """The peak disk usage: that of the new store, or of the keys of its edges before."""
    arrays = sum(store.array(name).nbytes for name in store.array_names)
    ranks = 8 * store.num_nodes
    key_bytes = KEY_BYTES + value_bytes(_value(store))
    return max(arrays + ranks, key_bytes * store.num_edges + 8 * store.num_nodes)


def _value(store: GraphStore) -> str | None:
    """The field of a batch that is sorted with the edges."""
    return "weight" if store.weighted else None


def _row_bytes(store: GraphStore, name: str) -> int:
    array = store.array(name)
    return int(array.dtype.itemsize * np.prod(array.shape[1:], dtype=np.int64))


def _write_edges(
    writer: StoreWriter, store: GraphStore, rank_N: np.ndarray, memory_bytes: int
) -> None:
    sorter = EdgeSorter(
        store.num_nodes,
        store.num_edges,
        writer.scratch_folder(),
        memory_bytes,
        num_types=len(store.edge_type_names) if "edge_type" in store else 0,
        rank_N=rank_N,
        keep_repeats=True,
        value=_value(store),
    )
    with progress("scattering edges", store.num_edges, "edges") as advance:
        num_edges = edges_per_batch(memory_bytes // 8, value_bytes(_value(store)))
        batches = edge_batches(store, num_edges, weights=True)
        sorter.scatter(batches, advance=advance)
    if sorter.self_loops:
        raise UserError(f"{store.path} has self-loops; build it again")
    with progress("sorting edges", store.num_edges, "edges") as advance:
        write_csc(writer, sorter, advance)


def _write_rows(
    writer: StoreWriter,
    store: GraphStore,
    name: str,
    rank_N: np.ndarray,
    memory_bytes: int,
    block_nodes: int | None,
) -> None:
    """Write an array [N, ...] in the new order."""
    array, row_bytes = store.array(name), _row_bytes(store, name)
    chunk_rows = rows_per_chunk(block_nodes, row_bytes) if block_nodes else None
    shuffled = shuffled_rows(
        array_pieces(store, name), rank_N, writer.scratch_folder(), memory_bytes, row_bytes
    )
    with (
        progress(name, array.shape[0], "nodes") as advance,
        writer.create_array(
            name,
            array.dtype,
            array.shape[0],
            array.shape[1:],
            chunk_bytes=SMALL_CHUNK_BYTES,
            chunk_rows=chunk_rows,
        ) as out,
    ):
        for rows in _cut(shuffled, row_bytes):
            out.append(rows)
            advance(len(rows))


def _typed_arrays(store: GraphStore) -> dict[str, int]:
    """The arrays of a typed store by the number of the node type of their rows."""
    schema, found = store.schema, {}
    for name in store.array_names if schema is not None else ():
        kind, _, number = name.partition("/")
        if schema is not None and kind in TYPED_ARRAYS:
            at = int(number)
            found[name] = at if kind == "feat" else int(schema.ends[at, 1])
    return found


def _write_typed_rows(
    writer: StoreWriter,
    store: GraphStore,
    rank_N: np.ndarray,
    layout: NodeLayout,
    memory_bytes: int,
) -> None:
    """Write the arrays of node types and edge types in the new order."""
    assert store.schema is not None
    arrays = _typed_arrays(store)
    for node_type, size in enumerate(store.schema.sizes):
        own: np.ndarray = np.arange(size, dtype=index_dtype(size))
        nodes = rank_N[store.layout.nodes(node_type, own)]
        rank_n = layout.own(node_type, nodes).astype(own.dtype)
        per_block = max(size // len(layout.offsets), 1)
        for name in (name for name, of in arrays.items() if of == node_type):
            kind, _, number = name.partition("/")
            rank_m = rank_n
            if kind == "first_hop":  # it has rows of nodes with in-edges only
                rank_m = rank_of(np.argsort(rank_n[store.read(f"in_degree/{number}") > 0]))
            _write_rows(writer, store, name, rank_m, memory_bytes, per_block)


def _cut(pieces: Iterable[np.ndarray], row_bytes: int) -> Iterator[np.ndarray]:
    """Cut pieces to the size of a chunk, so that their copies while writing are small too."""
    step = max(CHUNK_BYTES // max(row_bytes, 1), 1)
    for piece in pieces:
        for start in range(0, len(piece), step):
            yield piece[start : start + step]


def _write_ids(
    writer: StoreWriter, store: GraphStore, rank_N: np.ndarray, memory_bytes: int
) -> None:
    if "node_id/values" in store:
        _write_rows(writer, store, "node_id/values", rank_N, memory_bytes, None)
        return
    num_nodes, num_bytes = store.num_nodes, store.array("node_id/utf8").shape[0]
    shuffled = shuffled_ids(
        _id_pieces(store), rank_N, writer.scratch_folder(), memory_bytes, -(-num_bytes // num_nodes)
    )
    with (
        writer.create_array("node_id/offsets", np.int64, num_nodes + 1) as offsets,
        writer.create_array("node_id/utf8", np.uint8, num_bytes) as utf8,
    ):
        offsets.append(np.zeros(1, np.int64))
        for ids in shuffled:
            arrays = ids.as_arrays()
            offsets.append(utf8.num_rows + arrays["offsets"][1:])
            utf8.append(arrays["utf8"])


def _id_pieces(store: GraphStore) -> Iterator[NodeIds]:
    for start in range(0, store.num_nodes, IDS_PER_PIECE):
        yield store.node_ids(start, min(start + IDS_PER_PIECE, store.num_nodes))


def _copy_projection(writer: StoreWriter, store: GraphStore) -> None:
    """Copy the projection of the features, which does not depend on the order of nodes."""
    for name in store.array_names:
        if not name.startswith("projection/"):
            continue
        array = store.array(name)
        with writer.create_array(name, array.dtype, array.shape[0], array.shape[1:]) as out:
            for values in array_pieces(store, name):
                out.append(values)


def _write_links(writer: StoreWriter, store: GraphStore, rank_N: np.ndarray) -> None:
    """Write the held-out links in the same order, with ends and negatives renumbered."""
    for part in HELD_OUT_PARTS:
        for field in ("src", "dst", "neg", "edge_type"):
            name = f"split/{part}/{field}"
            if name not in store:
                continue
            array = store.array(name)
            with writer.create_array(name, array.dtype, array.shape[0], array.shape[1:]) as out:
                for values in array_pieces(store, name):
                    out.append(values if field == "edge_type" else rank_N[values])


def _write_node_split(writer: StoreWriter, store: GraphStore, rank_N: np.ndarray) -> None:
    """Write the labelled nodes of each part, ascending."""
    for part in PARTS:
        name = f"split/{part}/node"
        if name not in store:
            continue
        mark_N = np.zeros(store.num_nodes, bool)
        for nodes in array_pieces(store, name):
            mark_N[rank_N[nodes]] = True
        with writer.create_array(name, np.int64, store.array(name).shape[0]) as out:
            for start in range(0, store.num_nodes, IDS_PER_PIECE):
                out.append(start + np.flatnonzero(mark_N[start : start + IDS_PER_PIECE]))
