"""Assign the rows of a feature file to the nodes of the graph.

Legend: N nodes, R rows of the file, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.features import FeatureInput
from hvdtma.tables.features import PIECE_BYTES


@dataclass(frozen=True)
class FileRows:
    """Dense features of all nodes, read sequentially from a file; `SequentialRows`.

    Attributes:
        file: the rows of R nodes; the other nodes have zeros and come last.
        table: the nodes of the graph.
        nodes: int [N], the node of each row; None if row i belongs to node i.
    """

    file: FeatureInput
    table: NodeTable
    nodes: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        """[N, D]."""
        return len(self.table), self.file.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """float32 or float16."""
        return self.file.kept_dtype

    def pieces(self) -> Iterator[np.ndarray]:
        """Rows [n, D]; raises UserError for values that are not finite."""
        yield from self.file.pieces(self._node_of)
        pa.default_memory_pool().release_unused()  # read buffers
        num_nodes, dim = self.shape
        step = max(1, PIECE_BYTES // (dim * self.dtype.itemsize))
        for start in range(self.file.shape[0], num_nodes, step):
            yield np.zeros((min(step, num_nodes - start), dim), self.dtype)

    def placed_pieces(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Node numbers [n] and rows [n, D] of the file."""
        start = 0
        for values in self.file.pieces(self._node_of):
            places = np.arange(start, start + len(values))
            start += len(values)
            yield places if self.nodes is None else self.nodes[places], values

    def _node_of(self, row: int) -> object:
        return self.table.ids[row if self.nodes is None else self.nodes[row]]


def check_numbered(file: FeatureInput, strings: bool, least: int, largest: int) -> None:
    """Raise UserError if rows have no ids and the graph's ids are no numbers of rows."""
    num_rows, where = file.shape[0], file.where
    if strings:
        raise UserError(
            f"row i of {where} belongs to the integer id i, but the graph's ids are strings; use "
            "Parquet, CSV, JSON, or an NPZ of 'ids' and 'feat'"
        )
    if least < 0 or largest >= num_rows:
        raise UserError(
            f"features of the wrong length: {where} has {num_rows} rows, for the ids 0 to "
            f"{num_rows - 1}, but the graph's ids go from {least} to {largest}: give "
            f"{largest + 1} rows, or features with ids (Parquet, CSV, JSON, NPZ of 'ids' and "
            "'feat')"
        )


def nodes_of_rows(file: FeatureInput, nodes: NodeTable) -> np.ndarray | None:
    """Int [N]: the nodes of the file's rows, then the nodes without a row; None if in order.

    Raises UserError for a repeated id.
    """
    if file.ids is None:
        return None
    num_nodes, num_rows = len(nodes), file.shape[0]
    node_R = nodes.positions(file.ids)
    missing_N = np.ones(num_nodes, bool)
    missing_N[node_R] = False
    missing: np.ndarray = np.flatnonzero(missing_N).astype(node_R.dtype)
    if len(missing) + num_rows != num_nodes:
        counts = np.bincount(node_R, minlength=num_nodes)
        repeated = nodes.ids[node_R[np.argmax(counts[node_R] > 1)]]
        raise UserError(
            f"{file.where} has several rows of features for the id '{repeated}'; keep one of them"
        )
    return np.concatenate([node_R, missing])


def placed_matrix(feat: sp.csr_matrix, nodes: np.ndarray | None) -> sp.csr_matrix:
    """Sparse features [N, D] in the order of the nodes, with empty rows for nodes without a row.

    Args:
        nodes: see `nodes_of_rows`.
    """
    if nodes is None or np.array_equal(nodes, np.arange(feat.shape[0])):
        return feat
    row_N = np.full(len(nodes), -1, np.int64)  # -1, the last row, is the empty one
    row_N[nodes[: feat.shape[0]]] = np.arange(feat.shape[0])
    empty = sp.csr_matrix((1, feat.shape[1]), dtype=feat.dtype)
    return sp.csr_matrix(sp.vstack([feat, empty], format="csr")[row_N])
