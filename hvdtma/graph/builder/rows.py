"""What stands beside each node - features, ids, labels - written in the store's order.

Legend: N nodes, D features.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from hvdtma.core.console import progress, stage
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.threads import in_order, num_workers
from hvdtma.graph.blocks import rows_per_chunk
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.sizes import DEFAULT_DIM, SHUFFLE_SHARE
from hvdtma.graph.csc import CSC
from hvdtma.graph.raw import Source
from hvdtma.graph.reduce import reduce_features, svd_bytes
from hvdtma.graph.sort.rows import ArrayRows, NodeRows, SequentialRows
from hvdtma.graph.sort.shuffle import shuffled_rows
from hvdtma.graph.spectral import spectral_bytes, spectral_features
from hvdtma.graph.splits import hold_out_nodes
from hvdtma.storage.array_writer import CHUNK_BYTES
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter

IDS_PER_PIECE = 1 << 18


def features_of(
    writer: StoreWriter,
    source: Source,
    options: BuildOptions,
    order_N: np.ndarray,
    memory: MemoryBudget,
) -> tuple[NodeRows | SequentialRows, np.ndarray]:
    """The features to write, and the order to take their rows in (empty: their own)."""
    if source.feat is not None:
        return _given(source.feat, options, memory.reserve(order_N.nbytes)), order_N
    with stage("features from the graph itself (none given)"):
        return _from_graph(writer, options, memory.reserve(order_N.nbytes)), order_N[:0]


def write_features(
    writer: StoreWriter,
    rows: NodeRows | SequentialRows,
    order_N: np.ndarray,
    ids: NodeIds,
    dtype: np.dtype,
    block_nodes: int,
    memory: MemoryBudget,
) -> None:
    """Write the rows in the given order; raises UserError for values that are not finite."""
    num_nodes, dim = rows.shape
    if isinstance(rows, SequentialRows):
        pieces = _in_store_order(writer, rows, order_N, ids, dtype, memory)
    else:
        pieces = _taken(rows, order_N, ids, dtype)
    chunk_rows = rows_per_chunk(block_nodes, dim * dtype.itemsize)
    with (
        progress("features", num_nodes, "nodes") as advance,
        writer.growing("feat", dtype, num_nodes, (dim,), chunk_rows=chunk_rows) as feat,
    ):
        for values in pieces:
            feat.append(values)
            advance(len(values))


def _taken(
    rows: NodeRows, order_N: np.ndarray, ids: NodeIds, dtype: np.dtype
) -> Iterator[np.ndarray]:
    """Rows [n, D] in the given order, as the store keeps them."""
    num_nodes, dim = rows.shape
    step = max(1, CHUNK_BYTES // max(dim * 4, 1))

    def take(nodes: np.ndarray) -> np.ndarray:
        return _as_kept(rows.take(nodes), nodes, ids, dtype)

    yield from in_order(take, _pieces(num_nodes, order_N, step), num_workers())


def _in_store_order(
    writer: StoreWriter,
    rows: SequentialRows,
    order_N: np.ndarray,
    ids: NodeIds,
    dtype: np.dtype,
    memory: MemoryBudget,
) -> Iterator[np.ndarray]:
    """Rows [n, D] that come in an order of their own, put in the store's."""
    num_nodes, dim = rows.shape
    nodes_R = rows.nodes

    def pieces() -> Iterator[np.ndarray]:
        start = 0
        for values in rows.pieces():
            places = np.arange(start, start + len(values))
            start += len(values)
            yield _as_kept(values, places if nodes_R is None else nodes_R[places], ids, dtype)

    if not len(order_N) and nodes_R is None:
        yield from pieces()
        return
    rank_R = np.arange(num_nodes, dtype=order_N.dtype)
    if len(order_N):
        rank_R[order_N] = np.arange(num_nodes, dtype=order_N.dtype)
    if nodes_R is not None:
        rank_R = rank_R[nodes_R]
    held_bytes = 3 * rank_R.nbytes  # order, ranks, ranks by row
    room = memory.available(held_bytes, f"putting features of {num_nodes:,} nodes in order")
    yield from shuffled_rows(
        pieces(), rank_R, writer.scratch / "features", room // SHUFFLE_SHARE, dim * dtype.itemsize
    )


def _as_kept(values: np.ndarray, nodes: np.ndarray, ids: NodeIds, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):  # what float16 cannot hold is refused below
        values = np.ascontiguousarray(values, dtype)
    if not np.isfinite(values).all():
        _refuse_not_finite(values, nodes, ids, dtype)
    return values


def _given(
    feat: np.ndarray | sp.csr_matrix | NodeRows | SequentialRows,
    options: BuildOptions,
    memory: MemoryBudget,
) -> NodeRows | SequentialRows:
    """A source's own features, reduced where they are sparse or it is asked for."""
    dense = isinstance(feat, np.ndarray)
    if sp.issparse(feat) or (dense and options.feature_dim):
        dim = options.feature_dim or DEFAULT_DIM
        memory.available(svd_bytes(feat.shape[0], min(dim, feat.shape[1])), "reducing features")
        with stage("reducing features"):
            return ArrayRows(reduce_features(feat, dim, options.seed))
    if isinstance(feat, np.ndarray):
        return ArrayRows(feat)
    if options.feature_dim and options.feature_dim < feat.shape[1]:
        raise UserError(
            f"--feature-dim {options.feature_dim} needs all features in memory, but these are "
            "made or read in pieces; give features that are reduced already, or more --memory-gb"
        )
    return feat


def _from_graph(writer: StoreWriter, options: BuildOptions, memory: MemoryBudget) -> NodeRows:
    """Spectral features of the training graph, which is held in memory for it."""
    dim = options.feature_dim or DEFAULT_DIM
    indptr, indices = writer.array("indptr"), writer.array("indices")
    needed = spectral_bytes(indptr.shape[0] - 1, indices.shape[0], dim)
    memory.available(needed, "making features of the graph itself (give --features)")
    csc = CSC(np.asarray(indptr[:]), np.asarray(indices[:]))
    return ArrayRows(spectral_features(csc, dim, options.seed))


def _refuse_not_finite(
    values: np.ndarray, nodes: np.ndarray, ids: NodeIds, dtype: np.dtype
) -> None:
    bad = np.argwhere(~np.isfinite(values))
    row, column = bad[0]
    raise UserError(
        f"features hold values that are not finite (as {dtype}); the first is of node "
        f"{ids[nodes[row]]!r}, column {column}"
    )


def write_nodes(
    writer: StoreWriter,
    source: Source,
    order_N: np.ndarray,
    options: BuildOptions,
    block_nodes: int,
    rng: np.random.Generator,
) -> None:
    """Write ids, labels and the split of labelled nodes."""
    num_nodes = source.num_nodes
    with stage("ids and labels"):
        write_ids(writer, source.node_id, order_N)
        label = source.label
        if label is None and options.hold_out == "nodes":
            raise UserError("holding out nodes needs labels: give --labels")
        if label is not None:
            chunk_rows = rows_per_chunk(block_nodes, label.itemsize)
            with writer.growing("label", np.int64, num_nodes, chunk_rows=chunk_rows) as array:
                for nodes in _pieces(num_nodes, order_N, IDS_PER_PIECE):
                    array.append(label[nodes])
        for part, nodes in _node_split(source, label, options, rng).items():
            if len(order_N):
                mask_N = np.zeros(num_nodes, bool)
                mask_N[nodes] = True
                nodes = np.flatnonzero(mask_N[order_N])
            writer.put(f"split/{part}/node", nodes)


def write_ids(writer: StoreWriter, ids: NodeIds, order_N: np.ndarray) -> None:
    """Write the user's ids in the store's order, piece by piece."""
    pieces = (ids.take(nodes) for nodes in _pieces(len(ids), order_N, IDS_PER_PIECE))
    if not ids.are_strings:
        with writer.growing("node_id/values", np.int64, len(ids)) as values:
            for piece in pieces:
                values.append(piece.as_arrays()["values"])
        return
    with (
        writer.growing("node_id/offsets", np.int64, len(ids) + 1) as offsets,
        writer.growing("node_id/utf8", np.uint8, ids.num_bytes) as utf8,
    ):
        offsets.append(np.zeros(1, np.int64))
        for piece in pieces:
            arrays = piece.as_arrays()
            offsets.append(utf8.num_rows + arrays["offsets"][1:])
            utf8.append(arrays["utf8"])


def _pieces(num_nodes: int, order_N: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """The source's nodes in the store's order, `step` at a time."""
    for start in range(0, num_nodes, step):
        stop = min(start + step, num_nodes)
        yield order_N[start:stop] if len(order_N) else np.arange(start, stop)


def _node_split(
    source: Source, label: np.ndarray | None, options: BuildOptions, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    if source.node_split is not None:
        return source.node_split
    if label is None:
        return {}
    if options.hold_out == "links":  # nodes are split too where the same shares leave some
        smallest = min(options.valid, options.test)
        if max(options.valid, options.test) >= 1 or smallest * (label >= 0).sum() < 1:
            return {}
    return hold_out_nodes(label, options.valid, options.test, rng)
