"""Which node each row of features belongs to.

Legend: N nodes, R rows of a features file, D features.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.errors import UserError
from hvdtma.graph.sources.columns import Column, are_strings, as_kind
from hvdtma.graph.sources.features import FeatureTable, Matrix


def ids_of_rows(table: FeatureTable, columns: list[Column], where: str) -> Column:
    """The id of each row [R], of the kind of the graph's ids.

    Args:
        columns: the ids that the graph has without its features.

    Raises UserError where row i belongs to the integer id i but the graph's ids are strings,
    negative, or larger than the last row.
    """
    strings = are_strings(columns[0])
    if table.ids is not None:
        return as_kind(table.ids, strings, where)
    if strings:
        raise UserError(
            f"{where} gives row i to the integer id i, but the graph's ids are strings; use "
            "Parquet, JSON or an NPZ of 'ids' and 'feat', which are keyed by id"
        )
    ends = [pc.min_max(column).as_py() for column in columns if len(column)]
    smallest, largest = min(end["min"] for end in ends), max(end["max"] for end in ends)
    num_rows = table.feat.shape[0]
    if smallest < 0 or largest >= num_rows:
        raise UserError(
            f"features of the wrong length: {where} has {num_rows} rows, for the ids 0 to "
            f"{num_rows - 1}, but the graph's ids go from {smallest} to {largest}: give "
            f"{largest + 1} rows, or features keyed by id (Parquet, JSON, NPZ of 'ids' and 'feat')"
        )
    return pa.array(np.arange(num_rows, dtype=np.int64))


def place_rows(feat: Matrix, node_R: np.ndarray, num_nodes: int) -> tuple[Matrix, int]:
    """Features [N, D] in the order of the nodes, zeros where there are none, and how many.

    Args:
        node_R: position of the node that each row belongs to.
    """
    missing = num_nodes - len(node_R)
    if np.array_equal(node_R, np.arange(num_nodes)):
        return feat, 0
    if not isinstance(feat, np.ndarray):
        row_N = np.full(num_nodes, -1, np.int64)  # -1, the last row, is the empty one
        row_N[node_R] = np.arange(len(node_R))
        empty = sp.csr_matrix((1, feat.shape[1]), dtype=feat.dtype)
        return sp.csr_matrix(sp.vstack([feat, empty], format="csr")[row_N]), missing
    feat_ND = np.zeros((num_nodes, feat.shape[1]), feat.dtype)
    feat_ND[node_R] = feat
    return feat_ND, missing
