"""Write the features of a source in the store's order.

Legend: N nodes, D features, R rows of a source, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

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
from hvdtma.graph.builder.projected import on_columns_of, placed_by_neighbours
from hvdtma.graph.builder.projection import Projection, named
from hvdtma.graph.builder.svd import (
    reduce_features,
    reduction_bytes,
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


@dataclass(frozen=True)
class Features:
    """The features to write.

    Attributes:
        rows: [N, D].
        order_N: of the rows in the store; empty: their own.
        projection: what other stores need to have the same features.
        counts: notes for the build's report.
    """

    rows: NodeRows | SequentialRows
    order_N: np.ndarray
    projection: Projection
    counts: dict[str, int] = field(default_factory=dict)


def features_of(
    writer: StoreWriter,
    source: Source,
    options: BuildOptions,
    order_N: np.ndarray,
    memory: MemoryBudget,
    like: Projection | None = None,
) -> Features:
    """The features of a source.

    Features are made from the training graph, which `writer` has written, if the source has none.

    Args:
        like: the projection of another store, whose features these are to be.
    """
    memory = memory.reserve(order_N.nbytes)
    if like is not None and like.kind == "graph":
        rows, counts = placed_by_neighbours(writer, source.node_id, order_N, like)
        return Features(rows, order_N[:0], like, counts)
    names = named(getattr(source, "feature_names", None))
    if like is not None and source.feat is not None:
        given, counts = on_columns_of(like, source.feat, names)
        return Features(given, order_N, like, counts)
    if source.feat is not None:
        return Features(*given_features(source.feat, options, memory, order_N, names))
    with stage("making features from the graph"):
        ids = source.node_id.take(order_N) if len(order_N) else source.node_id
        return Features(*_from_graph(writer, options, memory, order_N, ids))


def write_features(
    writer: StoreWriter,
    rows: NodeRows | SequentialRows,
    order_N: np.ndarray,
    ids: NodeIds,
    dtype: np.dtype,
    block_nodes: int,
    memory: MemoryBudget,
    name: str = "feat",
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
        writer.create_array(name, dtype, num_nodes, (dim,), chunk_rows=chunk_rows) as feat,
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


def given_features(
    feat: np.ndarray | sp.csr_matrix | NodeRows | SequentialRows,
    options: BuildOptions,
    memory: MemoryBudget,
    order_N: np.ndarray,
    names: NodeIds | None,
) -> tuple[NodeRows | SequentialRows, np.ndarray, Projection]:
    """The source's features, reduced if they are sparse or if `feature_dim` says so."""
    num_nodes, given_dim = feat.shape
    as_given = Projection("given", given_dim, names)
    dense = isinstance(feat, np.ndarray)
    if sp.issparse(feat) or (dense and options.feature_dim):
        dim = options.feature_dim or DEFAULT_DIM
        needed = svd_bytes(num_nodes, min(dim, given_dim))
        memory.available(needed + reduction_bytes(given_dim, dim), "reducing features")
        with stage("reducing features"):
            reduced_ND, projection = reduce_features(feat, dim, options.seed, names)
            return ArrayRows(reduced_ND), order_N, projection
    if isinstance(feat, np.ndarray):
        return ArrayRows(feat), order_N, as_given
    if options.feature_dim and options.feature_dim < given_dim:
        raise UserError(
            f"--feature-dim {options.feature_dim} needs all features in memory, but these are "
            "read in pieces; give features that are reduced already, or a larger --memory-gb"
        )
    return feat, order_N, as_given


def _from_graph(
    writer: StoreWriter,
    options: BuildOptions,
    memory: MemoryBudget,
    order_N: np.ndarray,
    ids: NodeIds,
) -> tuple[NodeRows, np.ndarray, Projection]:
    """Spectral features of the training graph, which is read into memory, in the store's order."""
    dim = options.feature_dim or DEFAULT_DIM
    indptr, indices = writer.array("indptr"), writer.array("indices")
    needed = spectral_bytes(indptr.shape[0] - 1, indices.shape[0], dim)
    memory.available(needed, "making features from the graph (or give --features)")
    weighted = "weight" in writer.attrs["checksums"]
    weight = np.asarray(writer.array("weight")[:]) if weighted else None
    csc = CSC(np.asarray(indptr[:]), np.asarray(indices[:]), weight=weight)
    feat_ND, projection = spectral_features(csc, dim, options.seed, ids)
    return ArrayRows(feat_ND), order_N[:0], projection
