"""Features on the axes of another store: `hvdtma build LATER --features-like OLD`.

Given features are matched by their names, nodes by their ids.

Legend: N nodes, D features, R rows of the projection, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.projection import Projection
from hvdtma.graph.builder.svd import neighbour_features
from hvdtma.graph.csc import CSC
from hvdtma.graph.source import NodeRows, SequentialRows, Source
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter

Matrix: TypeAlias = np.ndarray | sp.csr_matrix
Change: TypeAlias = Callable[[Matrix], np.ndarray]


def store_like(options: BuildOptions, source: Source) -> GraphStore | None:
    """The store `features_like`; None without this option.

    Raises UserError if there is no such store, or it is of a version without projections; if the
    source has features and that store's were made from its graph, or the other way round; and for
    another `feature_dim`.
    """
    old = options.features_like
    if old is None:
        return None
    store = open_store(old)
    if store.features is None:
        raise UserError(
            f"--features-like {old}: this store was built by a version that kept no projection; "
            "build it again"
        )
    of_graph = store.features["kind"] == "graph"
    if (source.feat is None) != of_graph:
        made = "made from its graph" if of_graph else "made from given ones"
        has = "no features" if source.feat is None else "features"
        remedy = "give --features" if source.feat is None else "leave out the features"
        raise UserError(
            f"--features-like {old}: its features are {made}, but this graph comes with {has}; "
            f"{remedy}, or leave out --features-like"
        )
    if options.feature_dim not in (None, store.feature_dim):
        raise UserError(
            f"--feature-dim {options.feature_dim} with --features-like {old}, which has "
            f"{store.feature_dim} features; leave out --feature-dim"
        )
    return store


@dataclass(frozen=True)
class MappedRows:
    """`NodeRows` whose rows of given features are mapped when they are taken."""

    rows: Any
    change: Change
    dim: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape[0], self.dim

    def take(self, nodes: np.ndarray) -> np.ndarray:
        rows = self.rows
        held = isinstance(rows, np.ndarray) or sp.issparse(rows)
        return self.change(rows[nodes] if held else rows.take(nodes))


@dataclass(frozen=True)
class MappedPieces:
    """`SequentialRows` whose rows of given features are mapped when they are read."""

    rows: SequentialRows
    change: Change
    dim: int
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape[0], self.dim

    @property
    def nodes(self) -> np.ndarray | None:
        return self.rows.nodes

    def pieces(self) -> Iterator[np.ndarray]:
        yield from map(self.change, self.rows.pieces())


def on_columns_of(
    like: Projection, feat: Any, names: NodeIds | None
) -> tuple[NodeRows | SequentialRows, dict[str, int]]:
    """Given features [N, D'] as those of another store [N, D], and counts for the report.

    Columns are matched by their names if both stores know them, else by position. A feature that
    the projection does not know is ignored; one that is missing is 0 in sparse features.

    Raises UserError if columns cannot be matched, and if dense features lack one.
    """
    counts: dict[str, int] = {}
    change: Change = like.apply
    if like.names is not None and names is not None:
        known, names = _one_kind(like.names, names)
        counts["features_not_in_features_like"] = int((known.lookup(names.values) < 0).sum())
        place_R = names.lookup(known.values)
        missing = np.flatnonzero(place_R < 0)
        if len(missing) and not sp.issparse(feat):
            raise UserError(
                f"--features-like: {len(missing)} of its {len(place_R)} features are missing here, "
                f"such as '{like.names[missing[0]]}'; give all of them"
            )
        counts["features_missing"] = len(missing)
        if not np.array_equal(place_R, np.arange(feat.shape[1])):
            change = _selecting(like, place_R, feat.shape[1])
    else:
        _check_width(like, feat.shape[1])
    if isinstance(feat, SequentialRows):
        return MappedPieces(feat, change, like.dim, feat.dtype), counts
    return MappedRows(feat, change, like.dim), counts


def _one_kind(left: NodeIds, right: NodeIds) -> tuple[NodeIds, NodeIds]:
    """Names of features as strings, unless all are integers."""
    if left.are_strings == right.are_strings:
        return left, right
    return (
        NodeIds(left.values.cast(pa.large_string())),
        NodeIds(right.values.cast(pa.large_string())),
    )


def _check_width(like: Projection, width: int) -> None:
    expected = like.dim if like.matrix_RD is None else len(like.matrix_RD)
    if width != expected:
        raise UserError(
            f"--features-like: there are {width} features here, but that store was built of "
            f"{expected}; without the names of both, they cannot be matched"
        )


def _selecting(like: Projection, place_R: np.ndarray, width: int) -> Change:
    """The projection of rows whose column place_R[i] is its feature i; -1: there is none."""
    found = place_R >= 0
    if like.matrix_RD is None:  # features as given, in the other order
        columns = sp.csr_matrix(
            (np.ones(int(found.sum()), np.float32), (place_R[found], np.flatnonzero(found))),
            shape=(width, len(place_R)),
        )
        return lambda rows: np.asarray(
            rows[:, place_R] if isinstance(rows, np.ndarray) else (rows @ columns).toarray()
        )
    matrix = np.zeros((width, like.dim), np.float32)
    matrix[place_R[found]] = like.matrix_RD[found]
    idf = None
    if like.idf_R is not None:
        idf = np.zeros(width, np.float32)  # of weight 0: a feature that is not known
        idf[place_R[found]] = like.idf_R[found]
    return replace(like, matrix_RD=matrix, idf_R=idf).apply


@dataclass(frozen=True)
class PlacedRows:
    """`NodeRows` of nodes in the store's order, placed by their neighbours; see `svd`.

    Attributes:
        writer: has the training graph.
        place_N: the row of each node in the projection, or -1.
    """

    writer: StoreWriter
    place_N: np.ndarray
    like: Projection

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.place_N), self.like.dim

    def take(self, nodes: np.ndarray) -> np.ndarray:
        """The rows of consecutive nodes."""
        first, last = int(nodes[0]), int(nodes[-1]) + 1
        indptr = self.writer.reader("indptr").read(first, last + 1)
        indices = self.writer.reader("indices").read(int(indptr[0]), int(indptr[-1]))
        assert self.like.matrix_RD is not None
        rows, weight = CSC(indptr - indptr[0], indices), None
        if "weight" in self.writer.attrs["checksums"]:
            weight = self.writer.reader("weight").read(int(indptr[0]), int(indptr[-1]))
        own = self.place_N[first:last]
        return neighbour_features(rows, weight, self.place_N, own, self.like.matrix_RD)


def placed_by_neighbours(
    writer: StoreWriter, ids: NodeIds, order_N: np.ndarray, like: Projection
) -> tuple[PlacedRows, dict[str, int]]:
    """Features of nodes on the axes of another graph, and counts for the report.

    Raises UserError if no id is in that graph.
    """
    assert like.names is not None
    if ids.are_strings != like.names.are_strings:
        kinds = ("integers", "strings")
        raise UserError(
            f"--features-like: the ids there are {kinds[like.names.are_strings]}, here they are "
            f"{kinds[ids.are_strings]}"
        )
    place_N = like.names.lookup(ids.values)
    place_N = place_N[order_N] if len(order_N) else place_N
    new = int((place_N < 0).sum())
    if new == len(place_N):
        raise UserError("--features-like: none of the ids here is in that store's graph")
    return PlacedRows(writer, place_N, like), {"nodes_not_in_features_like": new}
