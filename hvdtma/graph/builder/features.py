"""Write the features of a source in the store's order.

Legend: N nodes, D features, R rows of a source, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from hvdtma.core.console import progress, stage
from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.blocks import rows_per_chunk
from hvdtma.graph.builder.budget import DEFAULT_DIM, SHUFFLE_SHARE
from hvdtma.graph.builder.nodes import in_store_order
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.svd import (
    reduce_features,
    spectral_bytes,
    spectral_features,
    svd_bytes,
)
from hvdtma.graph.csc import CSC
from hvdtma.graph.sort.shuffle import shuffled_rows
from hvdtma.graph.source import NodeRows, SequentialRows, Source
from hvdtma.storage.array_writer import CHUNK_BYTES
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter


class ArrayRows:
    """`NodeRows` of an array in memory."""

    def __init__(self, values_ND: np.ndarray):
        self.values = values_ND
        self.shape = values_ND.shape

    def take(self, nodes: np.ndarray) -> np.ndarray:
        return self.values[nodes]


def features_of(
    writer: StoreWriter,
    source: Source,
    options: BuildOptions,
    order_N: np.ndarray,
    memory: MemoryBudget,
) -> tuple[NodeRows | SequentialRows, np.ndarray]:
    """The features to write, and the order of their rows in the store (empty: their own).

    Features are made from the training graph, which `writer` has written, if the source has none.
    """
    memory = memory.reserve(order_N.nbytes)
    if source.feat is not None:
        return _given(source.feat, options, memory), order_N
    with stage("making features from the graph"):
        return _from_graph(writer, options, memory), order_N[:0]


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
        pieces = _shuffled(writer, rows, order_N, ids, dtype, memory)
    else:
        pieces = _taken(rows, order_N, ids, dtype)
    chunk_rows = rows_per_chunk(block_nodes, dim * dtype.itemsize)
    with (
        progress("features", num_nodes, "nodes") as advance,
        writer.create_array("feat", dtype, num_nodes, (dim,), chunk_rows=chunk_rows) as feat,
    ):
        for values in pieces:
            feat.append(values)
            advance(len(values))


def _taken(
    rows: NodeRows, order_N: np.ndarray, ids: NodeIds, dtype: np.dtype
) -> Iterator[np.ndarray]:
    """Rows [n, D] in the given order, in the store's dtype."""
    num_nodes, dim = rows.shape
    step = max(1, CHUNK_BYTES // max(dim * 4, 1))

    def take(nodes: np.ndarray) -> np.ndarray:
        return _converted(rows.take(nodes), nodes, ids, dtype)

    yield from map_in_order(take, in_store_order(num_nodes, order_N, step), num_workers())


def _shuffled(
    writer: StoreWriter,
    rows: SequentialRows,
    order_N: np.ndarray,
    ids: NodeIds,
    dtype: np.dtype,
    memory: MemoryBudget,
) -> Iterator[np.ndarray]:
    """Sequential rows [n, D] in the given order, in the store's dtype."""
    num_nodes, dim = rows.shape
    nodes_R = rows.nodes

    def pieces() -> Iterator[np.ndarray]:
        start = 0
        for values in rows.pieces():
            places = np.arange(start, start + len(values))
            start += len(values)
            nodes = places if nodes_R is None else nodes_R[places]
            yield _converted(values, nodes, ids, dtype)

    if not len(order_N) and nodes_R is None:
        yield from pieces()
        return
    rank_R = np.arange(num_nodes, dtype=order_N.dtype)
    if len(order_N):
        rank_R[order_N] = np.arange(num_nodes, dtype=order_N.dtype)
    if nodes_R is not None:
        rank_R = rank_R[nodes_R]
    reserved_bytes = 3 * rank_R.nbytes  # the order, its inverse, and the latter by row
    available = memory.available(reserved_bytes, f"sorting features of {num_nodes:,} nodes")
    yield from shuffled_rows(
        pieces(),
        rank_R,
        writer.scratch_folder() / "features",
        available // SHUFFLE_SHARE,
        dim * dtype.itemsize,
    )


def _converted(values: np.ndarray, nodes: np.ndarray, ids: NodeIds, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):  # an overflow of float16 is refused below
        values = np.ascontiguousarray(values, dtype)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise UserError(
            f"features hold values that are not finite (as {dtype}); the first one is of node "
            f"{ids[nodes[row]]!r}, column {column}"
        )
    return values


def _given(
    feat: np.ndarray | sp.csr_matrix | NodeRows | SequentialRows,
    options: BuildOptions,
    memory: MemoryBudget,
) -> NodeRows | SequentialRows:
    """The source's features, reduced if they are sparse or if `feature_dim` says so."""
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
            "read in pieces; give features that are reduced already, or a larger --memory-gb"
        )
    return feat


def _from_graph(writer: StoreWriter, options: BuildOptions, memory: MemoryBudget) -> NodeRows:
    """Spectral features of the training graph, which is read into memory."""
    dim = options.feature_dim or DEFAULT_DIM
    indptr, indices = writer.array("indptr"), writer.array("indices")
    needed = spectral_bytes(indptr.shape[0] - 1, indices.shape[0], dim)
    memory.available(needed, "making features from the graph (or give --features)")
    weighted = "weight" in writer.attrs["checksums"]
    weight = np.asarray(writer.array("weight")[:]) if weighted else None
    csc = CSC(np.asarray(indptr[:]), np.asarray(indices[:]), weight=weight)
    return ArrayRows(spectral_features(csc, dim, options.seed))
