"""A store written again in another order of nodes, whatever its size.

Edges are renumbered, scattered and sorted as `build` does it; what stands beside nodes is shuffled
in two sequential passes; held-out links are renumbered piece by piece. Beside the limit's own use,
memory holds a node's new number and, while the split of nodes is written, a mark: 5 bytes a node
(9 beyond 2^31 nodes).

Legend: N nodes, E edges, D features, n held-out links, K negatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hvdtma.core.console import progress, stage
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.blocks import SMALL_CHUNK_BYTES, rows_per_chunk
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.edge_sorter import KEY_BYTES, EdgeSorter
from hvdtma.graph.sort.shuffle import least_bytes, shuffled_rows
from hvdtma.graph.sort.strings import shuffled_ids
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import array_pieces, edge_pieces, edges_per_piece
from hvdtma.graph.write_csc import write_csc
from hvdtma.storage.array_writer import CHUNK_BYTES
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter

KEPT_ATTRS = (
    "graph",
    "label_names",
    "edge_type_names",
    "negatives_given",
    "counts",
    "provenance",
)
MARK_BYTES = 1  # a node
IDS_PER_PIECE = 1 << 18


def rank_of(order_N: np.ndarray) -> np.ndarray:
    """A node's place in an order, of the narrowest dtype [N]."""
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
) -> None:
    """Write the arrays of `store` with node v renamed to rank_N[v], and what it says of itself.

    Args:
        rank_N: a permutation int32|int64 [N].
        block_offsets: int64 [B+1].
        block_nodes: nodes of every block, if they are equal: chunks then hold whole blocks.

    Raises UserError for too little memory, and for a damaged store.
    """
    held_bytes = rank_N.nbytes + MARK_BYTES * store.num_nodes
    what = f"renumbering {store.num_nodes:,} nodes"
    memory.available(held_bytes + room_to_reorder(store), what)
    room = memory.available(held_bytes, what) * 3 // 4  # the rest is for what is read and written
    _write_edges(writer, store, rank_N, room)
    for name in ("feat", "first_hop", "label"):
        if name in store:
            _write_rows(writer, store, name, rank_N, room, block_nodes)
    with stage("ids and splits"):
        _write_ids(writer, store, rank_N, room)
        _write_links(writer, store, rank_N)
        _write_node_split(writer, store, rank_N)
    writer.put("block_offsets", block_offsets)
    kept = {key: store.attrs[key] for key in KEPT_ATTRS if key in store.attrs}
    writer.attrs |= kept | {
        "num_nodes": store.num_nodes,
        "undirected": store.undirected,
        "feature_dim": store.feature_dim,
    }


def room_to_reorder(store: GraphStore) -> int:
    """Bytes to work in that a store of this size cannot do without: one of 512 buckets of it."""
    row_bytes = max(_row_bytes(store, name) for name in ("feat", "first_hop") if name in store)
    least = max(EdgeSorter.least_bytes(store.num_edges), least_bytes(store.num_nodes, row_bytes))
    return least * 4 // 3


def disk_to_reorder(store: GraphStore) -> int:
    """Bytes of disk, at most: the new store, or the keys of its edges before it."""
    arrays = sum(store.array(name).nbytes for name in store.array_names)
    ranks = 8 * store.num_nodes
    return max(arrays + ranks, KEY_BYTES * store.num_edges + 8 * store.num_nodes)


def _row_bytes(store: GraphStore, name: str) -> int:
    array = store.array(name)
    return int(array.dtype.itemsize * np.prod(array.shape[1:], dtype=np.int64))


def _write_edges(writer: StoreWriter, store: GraphStore, rank_N: np.ndarray, room: int) -> None:
    sorter = EdgeSorter(
        store.num_nodes,
        store.num_edges,
        writer.scratch,
        room,
        num_types=len(store.edge_type_names) if "edge_type" in store else 0,
        rank_N=rank_N,
        keep_repeats=True,
    )
    with progress("scattering edges", store.num_edges, "edges") as advance:
        sorter.scatter(edge_pieces(store, edges_per_piece(room // 8)), tell=advance)
    if sorter.self_loops:
        raise UserError(f"{store.path} has edges from a node to itself; build it again")
    with progress("sorting edges", store.num_edges, "edges") as advance:
        write_csc(writer, sorter, advance)


def _write_rows(
    writer: StoreWriter,
    store: GraphStore,
    name: str,
    rank_N: np.ndarray,
    room: int,
    block_nodes: int | None,
) -> None:
    """Write an array [N, ...] in the new order."""
    array, row_bytes = store.array(name), _row_bytes(store, name)
    chunk_rows = rows_per_chunk(block_nodes, row_bytes) if block_nodes else None
    shuffled = shuffled_rows(array_pieces(store, name), rank_N, writer.scratch, room, row_bytes)
    with (
        progress(name, store.num_nodes, "nodes") as advance,
        writer.growing(
            name,
            array.dtype,
            store.num_nodes,
            array.shape[1:],
            chunk_bytes=SMALL_CHUNK_BYTES,
            chunk_rows=chunk_rows,
        ) as out,
    ):
        for rows in _cut(shuffled, row_bytes):
            out.append(rows)
            advance(len(rows))


def _cut(pieces: Iterable[np.ndarray], row_bytes: int) -> Iterator[np.ndarray]:
    """Pieces small enough that what is made of one while it is written is small too."""
    step = max(CHUNK_BYTES // max(row_bytes, 1), 1)
    for piece in pieces:
        for start in range(0, len(piece), step):
            yield piece[start : start + step]


def _write_ids(writer: StoreWriter, store: GraphStore, rank_N: np.ndarray, room: int) -> None:
    if "node_id/values" in store:
        _write_rows(writer, store, "node_id/values", rank_N, room, None)
        return
    num_nodes, num_bytes = store.num_nodes, store.array("node_id/utf8").shape[0]
    shuffled = shuffled_ids(
        _id_pieces(store), rank_N, writer.scratch, room, -(-num_bytes // num_nodes)
    )
    with (
        writer.growing("node_id/offsets", np.int64, num_nodes + 1) as offsets,
        writer.growing("node_id/utf8", np.uint8, num_bytes) as utf8,
    ):
        offsets.append(np.zeros(1, np.int64))
        for ids in shuffled:
            arrays = ids.as_arrays()
            offsets.append(utf8.num_rows + arrays["offsets"][1:])
            utf8.append(arrays["utf8"])


def _id_pieces(store: GraphStore) -> Iterator[NodeIds]:
    for start in range(0, store.num_nodes, IDS_PER_PIECE):
        yield store.node_ids(start, min(start + IDS_PER_PIECE, store.num_nodes))


def _write_links(writer: StoreWriter, store: GraphStore, rank_N: np.ndarray) -> None:
    """The held-out links, their ends and negatives renumbered, in the order they were in."""
    for part in ("valid", "test"):
        for field in ("src", "dst", "neg", "edge_type"):
            name = f"split/{part}/{field}"
            if name not in store:
                continue
            array = store.array(name)
            with writer.growing(name, array.dtype, array.shape[0], array.shape[1:]) as out:
                for values in array_pieces(store, name):
                    out.append(values if field == "edge_type" else rank_N[values])


def _write_node_split(writer: StoreWriter, store: GraphStore, rank_N: np.ndarray) -> None:
    """The labelled nodes of each part, ascending."""
    for part in PARTS:
        name = f"split/{part}/node"
        if name not in store:
            continue
        mark_N = np.zeros(store.num_nodes, bool)
        for nodes in array_pieces(store, name):
            mark_N[rank_N[nodes]] = True
        with writer.growing(name, np.int64, store.array(name).shape[0]) as out:
            for start in range(0, store.num_nodes, IDS_PER_PIECE):
                out.append(start + np.flatnonzero(mark_N[start : start + IDS_PER_PIECE]))
