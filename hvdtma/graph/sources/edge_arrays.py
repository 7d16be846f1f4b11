"""Edges from NumPy's files: an array of pairs, two arrays, or a SciPy adjacency.

Legend: E edges, N nodes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hvdtma.errors import UserError
from hvdtma.graph.sources.arrays import load_npy, load_npz
from hvdtma.graph.sources.columns import Column, ids_of, position_of
from hvdtma.graph.sources.edge_table import EdgeOptions, EdgeTable, alike


def edges_of_npz(path: Path, options: EdgeOptions) -> EdgeTable:
    """Edges of a .npz file.

    It holds `src` and `dst` (or the named columns) [E], or one array [E, 2] or [2, E], or is a
    square SciPy adjacency, whose rows are the nodes 0..N-1. A type column is an array [E].
    """
    arrays = load_npz(path)
    if not isinstance(arrays, dict):
        return _from_adjacency(arrays, path)
    type_column = options.type_column
    types = None if type_column is None else _column(arrays, type_column, path)
    ends = (options.src_column or "src", options.dst_column or "dst")
    rest = [name for name in arrays if name != type_column]
    if options.src_column is not None or set(ends) & set(arrays):
        table = EdgeTable(*alike(*(_column(arrays, end, path) for end in ends)))
    elif len(rest) == 1:
        table = _from_array(arrays[rest[0]], path)
    else:
        raise UserError(
            f"'{path}' holds {', '.join(rest) or 'nothing'}; valid: 'src' and 'dst', or one array "
            "[E, 2] or [2, E], or a SciPy sparse adjacency"
        )
    lengths = {len(c) for c in (table.src, table.dst, types) if c is not None}
    if len(lengths) > 1:
        raise UserError(f"'{path}': its columns have different lengths: {sorted(lengths)}")
    return EdgeTable(table.src, table.dst, types)


def _column(arrays: dict[str, np.ndarray], name: str, path: Path) -> Column:
    position_of(name, list(arrays), f"'{path}'")
    if arrays[name].ndim != 1:
        raise UserError(
            f"'{name}' of '{path}' has shape {list(arrays[name].shape)}; it must be [E]"
        )
    return ids_of(arrays[name], f"'{name}' of '{path}'")


def edges_of_npy(path: Path, options: EdgeOptions) -> EdgeTable:
    """Edges of a .npy file, integers [E, 2] or [2, E] ([2, 2] is read as two rows)."""
    if options.type_column is not None:
        raise UserError(f"'{path}' is one array without column '{options.type_column}'; use NPZ")
    return _from_array(load_npy(path), path)


def _from_array(array: np.ndarray, path: Path) -> EdgeTable:
    if array.ndim != 2 or 2 not in array.shape:
        raise UserError(f"'{path}' has shape {list(array.shape)}; edges are [E, 2] or [2, E]")
    pair = array.T if array.shape[1] == 2 else array
    src, dst = (ids_of(end, f"'{path}'") for end in pair)
    return EdgeTable(src, dst)


def _from_adjacency(matrix: sp.csr_matrix, path: Path) -> EdgeTable:
    rows, columns = matrix.shape
    if rows != columns:
        raise UserError(f"'{path}' is a matrix [{rows}, {columns}]; an adjacency is square")
    matrix.eliminate_zeros()
    entries = matrix.tocoo()
    src, dst = (ids_of(end, f"'{path}'") for end in (entries.row, entries.col))
    return EdgeTable(src, dst, nodes=pa.array(np.arange(rows, dtype=np.int64)))
