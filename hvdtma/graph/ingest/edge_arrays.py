"""Edges in NumPy files and SciPy matrices as record batches, some rows at a time.

Legend: E edges, N nodes, n edges of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.tables.array_file import ArrayFile, arrays_of, load_matrix

ARRAYS = (".npy", ".npz")
ROWS_PER_PIECE = 1 << 17


def edge_arrays(path: Path, sizes: list[int]) -> pa.RecordBatchReader:
    """The edges of a .npy or .npz file, with the columns `src` and `dst`.

    .npy: integers or strings [E, 2] or [2, E] ([2, 2] is read as two rows). .npz: arrays [E], by
    name; or one array [E, 2] or [2, E] and further arrays [E]; or a square SciPy adjacency matrix,
    whose rows are the nodes 0..N-1 and whose entries are the column `weight`.

    Args:
        sizes: gets N of an adjacency matrix.

    Raises UserError for other arrays and for a truncated file.
    """
    arrays = arrays_of(path)
    if arrays is None:
        return _of_adjacency(path, sizes)
    pairs = [array for key, array in arrays.items() if len(array.shape) == 2 or not key]
    if not pairs and len(arrays) > 1:
        return _reader({key: _Column(array) for key, array in arrays.items()})
    if len(pairs) != 1 or any(len(a.shape) > 2 for key, a in arrays.items() if key):
        raise UserError(
            f"'{path}' holds {', '.join(arrays) or 'nothing'}; valid: arrays [E] by name, such as "
            "'src' and 'dst', or one array [E, 2] or [2, E], or a SciPy sparse adjacency matrix"
        )
    columns = _pair_columns(pairs[0])
    others = {key: array for key, array in arrays.items() if array is not pairs[0]}
    return _reader(columns | {key: _Column(array) for key, array in others.items()})


class _Column:
    """One column of edges in an array: the array itself [E], or one end of pairs."""

    def __init__(self, array: ArrayFile, end: int | None = None, interleaved: bool = False):
        self.array, self.end, self.interleaved = array, end, interleaved
        shape = array.shape
        self.length = shape[0] if end is None or shape[1] == 2 else shape[1]
        if array.dtype.kind not in "iufbU":
            raise UserError(
                f"{self.where} holds {array.dtype}; ids and types are integers or strings"
            )

    @property
    def where(self) -> str:
        member = self.array.member
        return f"{'' if member is None else f'{member!r} of '}'{self.array.path}'"

    @property
    def kind(self) -> pa.DataType:
        dtype = self.array.dtype
        return (
            pa.large_string() if dtype.kind == "U" else pa.from_numpy_dtype(dtype.newbyteorder("="))
        )

    def pieces(self) -> Iterator[pa.Array]:
        if self.end is None:
            values = self.array.pieces(ROWS_PER_PIECE)
        elif self.interleaved:
            values = (piece[:, self.end] for piece in self.array.pieces(ROWS_PER_PIECE))
        else:
            values = self.array.run_pieces(self.end, ROWS_PER_PIECE)
        for piece in values:
            native = np.ascontiguousarray(piece, piece.dtype.newbyteorder("="))
            yield pa.array(native, self.kind)


def _pair_columns(array: ArrayFile) -> dict[str, _Column]:
    if len(array.shape) != 2 or 2 not in array.shape:
        raise UserError(f"'{array.path}' has shape {list(array.shape)}; edges are [E, 2] or [2, E]")
    interleaved = (array.shape[1] == 2) != array.column_major
    return {end: _Column(array, at, interleaved) for at, end in enumerate(("src", "dst"))}


def _reader(columns: dict[str, _Column]) -> pa.RecordBatchReader:
    lengths = sorted({column.length for column in columns.values()})
    if len(lengths) > 1:
        path = next(iter(columns.values())).array.path
        raise UserError(f"'{path}': its columns have different lengths: {lengths}")
    schema = pa.schema([(key, column.kind) for key, column in columns.items()])

    def batches() -> Iterator[pa.RecordBatch]:
        for pieces in zip(*(column.pieces() for column in columns.values()), strict=True):
            yield pa.RecordBatch.from_arrays(list(pieces), schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _of_adjacency(path: Path, sizes: list[int]) -> pa.RecordBatchReader:
    matrix = load_matrix(path)
    rows, columns = matrix.shape
    if rows != columns:
        raise UserError(f"'{path}' is a matrix [{rows}, {columns}]; an adjacency matrix is square")
    matrix.eliminate_zeros()
    entries = matrix.tocoo()
    sizes.append(rows)
    table = pa.table({"src": entries.row, "dst": entries.col, "weight": entries.data})
    return table.to_reader(ROWS_PER_PIECE)
