"""Edges from a file of any of the known kinds: text tables, Parquet, NumPy arrays, SciPy matrices.

Legend: E edges, N nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp
from rich.markup import escape

from hvdtma.console import console
from hvdtma.errors import UserError, nearest
from hvdtma.graph.sources.files.columns import Column, as_kind, ids_of, is_integer, position_of
from hvdtma.graph.sources.files.opening import load_npy, load_npz, suffix_of
from hvdtma.graph.sources.files.text_layout import find_layout, usual_columns
from hvdtma.graph.sources.files.text_table import Wanted, read_rows

ID_TYPES = ("auto", "int", "str")


@dataclass(frozen=True)
class EdgeOptions:
    """Which columns of an edge file are what; see `FileSource`."""

    src_column: str | None = None
    dst_column: str | None = None
    type_column: str | None = None
    header: str = "auto"
    delimiter: str | None = None
    id_type: str = "auto"

    def __post_init__(self) -> None:
        if self.id_type not in ID_TYPES:
            raise UserError(f"id_type is '{self.id_type}'; {nearest(self.id_type, list(ID_TYPES))}")
        if (self.src_column is None) != (self.dst_column is None):
            named = self.src_column or self.dst_column
            raise UserError(
                f"only '{named}' is named: name both columns of ids, --src-column and "
                "--dst-column, or neither"
            )


@dataclass(frozen=True)
class EdgeTable:
    """Edges in the user's ids.

    Attributes:
        src, dst: ids [E], both int64 or both large_string.
        edge_type: names of types [E], or None.
        nodes: further ids that are nodes, with or without an edge (rows of an adjacency), or None.
    """

    src: Column
    dst: Column
    edge_type: Column | None = None
    nodes: Column | None = None


def alike(src: Column, dst: Column) -> tuple[Column, Column]:
    """Both as strings where one is."""
    strings = src.type != dst.type or pa.types.is_large_string(src.type)
    return as_kind(src, strings, "source"), as_kind(dst, strings, "destination")


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


TEXT = (".csv", ".tsv", ".txt", ".edges", ".edgelist")
EDGE_FILES = [*TEXT, *(suffix + ".gz" for suffix in TEXT), ".parquet", ".npy", ".npz"]


def read_edges(path: Path, options: EdgeOptions) -> EdgeTable:
    """Edges of a CSV/TSV, Parquet, NPY or NPZ file.

    Raises UserError for a missing file, an unknown ending or column, a bad line, a wrong shape.
    """
    suffix = suffix_of(path, EDGE_FILES, "edges")
    if suffix == ".parquet":
        table = _from_parquet(path, options)
    elif suffix == ".npy":
        table = edges_of_npy(path, options)
    elif suffix == ".npz":
        table = edges_of_npz(path, options)
    else:
        table = _from_text(path, options)
    if options.id_type == "auto":
        return table
    strings = options.id_type == "str"
    src, dst, nodes = (
        None if ids is None else as_kind(ids, strings, f"'{path}'")
        for ids in (table.src, table.dst, table.nodes)
    )
    return EdgeTable(src, dst, table.edge_type, nodes)


def _from_text(path: Path, options: EdgeOptions) -> EdgeTable:
    named = (options.src_column, options.dst_column, options.type_column)
    layout = find_layout(path, named=named, header=options.header, delimiter=options.delimiter)
    ends = _end_columns(layout.names, options, f"'{path}'")
    first_ids = [layout.first_row[end : end + 1] for end in ends]
    integers = all(field and is_integer(field[0].strip()) for field in first_ids)
    if options.id_type != "auto":
        integers = options.id_type == "int"
    wanted = [Wanted(end, integers=integers) for end in ends]
    if options.type_column is not None:
        wanted.append(Wanted(position_of(options.type_column, layout.names, f"'{path}'")))
    src, dst, *types = read_rows(path, layout, wanted)
    if layout.doubtful:
        _refuse_a_likely_header(path, src, dst)
    names = " to ".join(f"'{layout.names[end]}'" for end in ends)
    said = "in its header" if layout.has_header else "no header"
    console.print(f"{escape(path.name)}: edges from {escape(names)} ({said})")
    return EdgeTable(src, dst, *types)


def _refuse_a_likely_header(path: Path, src: Column, dst: Column) -> None:
    """Raises UserError if neither name of the first row stands in any other row."""
    for name in (src[0], dst[0]):
        if sum(pc.sum(pc.equal(ids, name)).as_py() for ids in (src, dst)) > 1:
            return
    raise UserError(
        f"'{path}': its first line, '{src[0]}' and '{dst[0]}', may be a header or an edge; "
        "say which with --header yes or --header no"
    )


def _end_columns(names: list[str], options: EdgeOptions, where: str) -> tuple[int, int]:
    if options.src_column is not None and options.dst_column is not None:
        src, dst = (position_of(c, names, where) for c in (options.src_column, options.dst_column))
        return src, dst
    if len(names) < 2:
        raise UserError(f"{where} has one column, '{names[0]}'; edges need two")
    return usual_columns(names) or (0, 1)


def _from_parquet(path: Path, options: EdgeOptions) -> EdgeTable:
    try:
        names = pq.read_schema(path).names
        ends = _end_columns(names, options, f"'{path}'")
        wanted = [names[end] for end in ends]
        if options.type_column is not None:
            wanted.append(names[position_of(options.type_column, names, f"'{path}'")])
        table = pq.read_table(path, columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"'{path}' cannot be read as Parquet: {error}") from None
    src, dst, *types = (
        ids_of(table.column(name), f"column '{name}' of '{path}'") for name in wanted
    )
    return EdgeTable(*alike(src, dst), *types)
