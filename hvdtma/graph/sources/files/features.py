"""Features from a file of any of the known kinds, checked, and which node each row belongs to.

Legend: N nodes, R rows of the file, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.errors import UserError
from hvdtma.graph.sources.files.columns import Column, are_strings, as_kind, ids_of
from hvdtma.graph.sources.files.feature_formats import read_feature_parquet, read_lists
from hvdtma.graph.sources.files.opening import load_npy, load_npz, suffix_of

FEATURE_FILES = [".npy", ".npz", ".parquet", ".json", ".json.gz"]
_ROWS_AT_ONCE = 1 << 16

Matrix: TypeAlias = np.ndarray | sp.csr_matrix


@dataclass(frozen=True)
class FeatureTable:
    """Features in the order of their file.

    Attributes:
        feat: float32 or float16 [R, D], dense or CSR, finite.
        ids: ids [R], each once; None where row i belongs to the integer id i.
        columns_left_out: columns of the file that hold no numbers.
    """

    feat: Matrix
    ids: Column | None = None
    columns_left_out: int = 0


def read_features(path: Path, id_column: str | None = None) -> FeatureTable:
    """Features of an NPY, NPZ, Parquet or JSON file.

    NPY and NPZ (dense [R, D] or a SciPy matrix): row i belongs to the integer id i. NPZ with `ids`
    [R] and `feat` [R, D] is keyed by id. Parquet: see `read_feature_parquet`. JSON: see
    `read_lists`.

    Raises UserError for a missing file, an unknown ending, a wrong shape or type, an id that comes
    twice, and values that are not finite.
    """
    suffix = suffix_of(path, FEATURE_FILES, "features")
    ids, names, left_out = None, None, 0
    if suffix == ".npy":
        feat = load_npy(path)
    elif suffix == ".npz":
        ids, feat = _from_npz(path)
    elif suffix == ".parquet":
        ids, feat, names, left_out = read_feature_parquet(path, id_column)
    else:
        ids, feat = read_lists(path)
    if ids is not None and len(ids) != feat.shape[0]:
        raise UserError(f"'{path}' has {len(ids)} ids but {feat.shape[0]} rows of features")
    if ids is not None:
        _refuse_repeats(ids, path)
    feat = checked_features(feat, f"'{path}'", ids, names)
    return FeatureTable(feat, ids, left_out)


def checked_features(
    feat: Matrix, where: str, ids: Column | None = None, names: list[str] | None = None
) -> Matrix:
    """Features as float32 (float16 stays), after a look at every value.

    Raises UserError for a wrong shape or type, and for NaN or infinity, naming the first node and
    column; `ids` and `names` say how rows and columns are called.
    """
    if feat.ndim != 2 or not feat.shape[1] or feat.dtype.kind not in "fiub":
        raise UserError(
            f"{where} has features of shape {list(feat.shape)} and type {feat.dtype}; "
            "they must be numbers [nodes, features]"
        )
    if feat.dtype != np.float16:
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
            feat = feat.astype(np.float32, copy=False)
    bad = _first_not_finite(feat)
    if bad is not None:
        row, column = bad
        node = row if ids is None else ids[row].as_py()
        name = f"'{names[column]}'" if names else column
        raise UserError(
            f"{where}: feature {name} of node {node} is NaN, infinite or too large for float32; "
            "replace such values first"
        )
    return feat


def _from_npz(path: Path) -> tuple[Column | None, Matrix]:
    arrays = load_npz(path)
    if not isinstance(arrays, dict):
        return None, arrays
    if set(arrays) == {"ids", "feat"}:
        return ids_of(arrays["ids"], f"'ids' of '{path}'"), arrays["feat"]
    if len(arrays) != 1:
        raise UserError(
            f"'{path}' holds {', '.join(arrays) or 'nothing'}; valid: one array, or 'ids' and "
            "'feat', or a SciPy sparse matrix"
        )
    return None, next(iter(arrays.values()))


def _refuse_repeats(ids: Column, path: Path) -> None:
    counts = ids.value_counts()
    repeated = np.flatnonzero(counts.field("counts").to_numpy() > 1)
    if len(repeated):
        raise UserError(
            f"'{path}' has several rows of features for the id "
            f"'{counts.field('values')[int(repeated[0])]}'; keep one"
        )


def _first_not_finite(feat: Matrix) -> tuple[int, int] | None:
    if not isinstance(feat, np.ndarray):
        entries = np.flatnonzero(~np.isfinite(feat.data))
        if not len(entries):
            return None
        row = int(np.searchsorted(feat.indptr, entries[0], side="right")) - 1
        return row, int(feat.indices[entries[0]])
    for start in range(0, len(feat), _ROWS_AT_ONCE):
        bad = np.argwhere(~np.isfinite(feat[start : start + _ROWS_AT_ONCE]))
        if len(bad):
            return start + int(bad[0, 0]), int(bad[0, 1])
    return None


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
