"""Read edges from NumPy arrays, some rows at a time, and from SciPy matrices.

Legend: E edges, N nodes, n edges of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest.edge_file import EdgeFile, EdgeOptions, EdgeRows
from hvdtma.tables.array_file import ArrayFile, npy_file, npz_files
from hvdtma.tables.columns import Column, are_strings, ids_of, position_of
from hvdtma.tables.opening import load_matrix

ROWS_PER_PIECE = 1 << 17


def edges_of_npy(path: Path, options: EdgeOptions) -> EdgeFile:
    """Edges of a .npy file, integers [E, 2] or [2, E] ([2, 2] is read as two rows)."""
    if options.type_column is not None:
        raise UserError(f"'{path}' is one array and has no column '{options.type_column}'; use NPZ")
    return _of_pairs(npy_file(path), None)


def edges_of_npz(path: Path, options: EdgeOptions) -> EdgeFile:
    """Edges of a .npz file.

    The file holds `src` and `dst` (or the named columns) [E], or one array [E, 2] or [2, E], or a
    square SciPy adjacency matrix, whose rows are the nodes 0..N-1. A type column is an array [E].
    """
    arrays = npz_files(path)
    if arrays is None:
        return _of_adjacency(path)
    type_column = options.type_column
    types = None if type_column is None else _column(arrays, type_column, path)
    ends = (options.src_column or "src", options.dst_column or "dst")
    rest = [name for name in arrays if name != type_column]
    if options.src_column is not None or set(ends) & set(arrays):
        return _of_columns([_column(arrays, end, path) for end in ends], types)
    if len(rest) == 1:
        return _of_pairs(arrays[rest[0]], types)
    raise UserError(
        f"'{path}' holds {', '.join(rest) or 'nothing'}; valid: 'src' and 'dst', or one array "
        "[E, 2] or [2, E], or a SciPy sparse adjacency matrix"
    )


def _column(arrays: dict[str, ArrayFile], name: str, path: Path) -> ArrayFile:
    position_of(name, list(arrays), f"'{path}'")
    if len(arrays[name].shape) != 1:
        raise UserError(
            f"'{name}' of '{path}' has shape {list(arrays[name].shape)}; it must be [E]"
        )
    return arrays[name]


def _of_columns(ends: list[ArrayFile], types: ArrayFile | None) -> EdgeFile:
    """Edges of one array [E] per column."""
    arrays = [*ends, *([] if types is None else [types])]
    _check_lengths([array.shape[0] for array in arrays], arrays[0].path)
    kinds = [ids_of(np.zeros(0, array.dtype), _where(array)) for array in arrays]

    def read() -> Iterator[EdgeRows]:
        columns = [array.pieces(ROWS_PER_PIECE) for array in arrays]
        for number, pieces in enumerate(zip(*columns, strict=True)):
            yield EdgeRows(*(_ids(a, p, number) for a, p in zip(arrays, pieces, strict=True)))

    return EdgeFile(ends[0].path, any(map(are_strings, kinds[:2])), types is not None, read)


def _of_pairs(array: ArrayFile, types: ArrayFile | None) -> EdgeFile:
    """Edges of one array [E, 2] or [2, E]."""
    if len(array.shape) != 2 or 2 not in array.shape:
        raise UserError(f"'{array.path}' has shape {list(array.shape)}; edges are [E, 2] or [2, E]")
    rows_are_edges = array.shape[1] == 2
    num_edges = array.shape[0] if rows_are_edges else array.shape[1]
    _check_lengths([num_edges, *([] if types is None else [types.shape[0]])], array.path)
    kind = ids_of(np.zeros(0, array.dtype), _where(array))

    def read() -> Iterator[EdgeRows]:
        ends = _pair_pieces(array, interleaved=rows_are_edges != array.column_major)
        names = None if types is None else types.pieces(ROWS_PER_PIECE)
        for number, (src, dst) in enumerate(ends):
            columns = [_ids(array, end, number) for end in (src, dst)]
            if types is not None and names is not None:
                columns.append(_ids(types, next(names), number))
            yield EdgeRows(*columns)

    return EdgeFile(array.path, are_strings(kind), types is not None, read)


def _pair_pieces(array: ArrayFile, interleaved: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sources and destinations in pieces [n]; interleaved in the file, or one after the other."""
    if interleaved:
        for piece in array.pieces(ROWS_PER_PIECE):
            yield piece[:, 0], piece[:, 1]
        return
    columns = (array.run_pieces(run, ROWS_PER_PIECE) for run in (0, 1))
    yield from zip(*columns, strict=True)


def _of_adjacency(path: Path) -> EdgeFile:
    """Edges of a SciPy matrix, which is read into memory."""
    matrix = load_matrix(path)
    rows, columns = matrix.shape
    if rows != columns:
        raise UserError(f"'{path}' is a matrix [{rows}, {columns}]; an adjacency matrix is square")
    matrix.eliminate_zeros()
    entries = matrix.tocoo()

    def read() -> Iterator[EdgeRows]:
        for start in range(0, entries.nnz, ROWS_PER_PIECE):
            rows = slice(start, start + ROWS_PER_PIECE)
            ends = (ids_of(end[rows], f"'{path}'") for end in (entries.row, entries.col))
            yield EdgeRows(*ends)

    return EdgeFile(path, False, False, read, num_rows=rows)


def _ids(array: ArrayFile, piece: np.ndarray, number: int) -> Column:
    return ids_of(piece, _where(array), number * ROWS_PER_PIECE)


def _where(array: ArrayFile) -> str:
    name = "" if array.member is None else f"'{array.member.removesuffix('.npy')}' of "
    return f"{name}'{array.path}'"


def _check_lengths(lengths: list[int], path: Path) -> None:
    if len(set(lengths)) > 1:
        raise UserError(f"'{path}': its columns have different lengths: {sorted(set(lengths))}")
