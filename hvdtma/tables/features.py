"""Read and check features from a file of any supported format, with the id of each row.

Dense features are read some rows at a time, sparse features as a whole.

Legend: N nodes, R rows of the file, D features, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.tables.array_file import ArrayFile, arrays_of, load_matrix
from hvdtma.tables.columns import Column, ids_of
from hvdtma.tables.feature_lists import read_lists
from hvdtma.tables.inputs import ending_of

FEATURE_FILES = [".npy", ".npz", ".parquet", ".json", ".json.gz"]
PIECE_BYTES = 8 << 20
_IDS_PER_PIECE = 1 << 17
_ROWS_AT_ONCE = 1 << 16

Matrix: TypeAlias = np.ndarray | sp.csr_matrix


@dataclass(frozen=True)
class FeatureFile:
    """Features on disk, in the order of the file.

    Attributes:
        where: for messages.
        shape, dtype: [R, D], and the dtype in the file.
        read: yields the dense rows [n, D] in order; unused for sparse features.
        id_pieces: yields the ids [n] of all rows; None if row i belongs to the integer id i.
        sparse: CSR float32 or float16 [R, D], or None.
        names: of the D columns, strings or integers; or None.
        column_major: whether the file is in Fortran order and must be read as a whole.
    """

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], Iterator[np.ndarray]] = lambda: iter(())
    id_pieces: Callable[[], Iterator[Column]] | None = None
    sparse: sp.csr_matrix | None = None
    names: list | None = None
    column_major: bool = False

    def __post_init__(self) -> None:
        _check_kind(self.shape, self.dtype, self.where)

    @property
    def kept_dtype(self) -> np.dtype:
        """The dtype in memory: float16 stays, any other becomes float32."""
        return np.dtype(np.float16 if self.dtype == np.float16 else np.float32)


def open_feature_file(path: Path) -> FeatureFile:
    """Open the features of an NPY, NPZ or JSON file.

    NPY and NPZ (dense [R, D] or a SciPy matrix): row i belongs to the integer id i. NPZ with `ids`
    [R] and `feat` [R, D]: rows belong to these ids. JSON: see `read_lists`.

    Raises UserError for a wrong shape or type, and for sparse features with values that are not
    finite.
    """
    if ending_of(path) == ".json":
        ids, feat, names = read_lists(path)
        return replace(_of_matrix(path, feat, ids), names=names)
    arrays = arrays_of(path)
    if arrays is None:
        return _of_matrix(path, load_matrix(path), None)
    if set(arrays) == {"ids", "feat"}:
        return _of_array(arrays["feat"], arrays["ids"])
    if len(arrays) != 1:
        raise UserError(
            f"'{path}' holds {', '.join(arrays) or 'nothing'}; valid: one array, or 'ids' and "
            "'feat', or a SciPy sparse matrix"
        )
    return _of_array(next(iter(arrays.values())))


def _of_matrix(path: Path, feat: sp.csr_matrix, ids: Column | None) -> FeatureFile:
    def node_of(row: int) -> object:
        return row if ids is None else ids[row].as_py()

    feat = checked_features(feat, f"'{path}'", node_of)
    pieces = None if ids is None else lambda: iter([ids])
    return FeatureFile(f"'{path}'", feat.shape, feat.dtype, id_pieces=pieces, sparse=feat)


def _of_array(array: ArrayFile, ids: ArrayFile | None = None) -> FeatureFile:
    where = f"'{array.path}'"
    _check_kind(array.shape, array.dtype, where)
    if ids is not None and (len(ids.shape) != 1 or ids.shape[0] != array.shape[0]):
        raise UserError(
            f"{where} has {ids.shape[0] if ids.shape else 0} ids but {array.shape[0]} rows of "
            "features"
        )
    step = max(1, PIECE_BYTES // max(array.shape[1] * array.dtype.itemsize, 1))

    def rows() -> Iterator[np.ndarray]:
        if not array.column_major:
            yield from array.pieces(step)
            return
        whole = np.concatenate(list(array.pieces(1))).T
        for start in range(0, len(whole), step):
            yield whole[start : start + step]

    def id_pieces() -> Iterator[Column]:
        if ids is not None:
            for number, piece in enumerate(ids.pieces(_IDS_PER_PIECE)):
                yield ids_of(piece, f"'ids' of {where}", number * _IDS_PER_PIECE)

    return FeatureFile(
        where,
        array.shape,
        array.dtype,
        rows,
        None if ids is None else id_pieces,
        column_major=array.column_major,
    )


def checked_features(
    feat: Matrix,
    where: str,
    node_of: Callable[[int], object] = int,
    names: list[str] | None = None,
    remedy: str = "replace such values first",
) -> Matrix:
    """Features as float32 (float16 stays), with every value checked.

    Args:
        where: the origin of the features, for messages.
        node_of: returns the id of a row, for messages.
        names: the names of the columns.
        remedy: the end of a message about a missing value.

    Raises UserError for a wrong shape or type, and for NaN and infinity, naming node and column.
    """
    _check_kind(feat.shape, feat.dtype, where)
    if feat.dtype != np.float16:
        with np.errstate(over="ignore"):  # an overflow becomes infinite, which is refused below
            feat = feat.astype(np.float32, copy=False)
    bad = _first_not_finite(feat)
    if bad is not None:
        row, column = bad
        name = f"'{names[column]}'" if names else column
        value = feat[row, column]
        if not np.isnan(value):
            remedy = "it is not missing, so it is not filled; replace such values first"
        raise UserError(
            f"{where}: feature {name} of node {node_of(row)} is NaN, infinite or too large for "
            f"float32; {remedy}"
        )
    return feat


def _check_kind(shape: tuple[int, ...], dtype: np.dtype, where: str) -> None:
    if len(shape) != 2 or not shape[1] or dtype.kind not in "fiub":
        raise UserError(
            f"{where} has features of shape {list(shape)} and type {dtype}; "
            "features must be numbers [nodes, features]"
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
