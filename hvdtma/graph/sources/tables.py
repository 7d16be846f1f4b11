"""Edges from a file of any of the known kinds.

Legend: E edges.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hvdtma.errors import UserError
from hvdtma.graph.sources.arrays import suffix_of
from hvdtma.graph.sources.columns import as_kind, ids_of, is_integer, position_of
from hvdtma.graph.sources.edge_arrays import edges_of_npy, edges_of_npz
from hvdtma.graph.sources.edge_table import EdgeOptions, EdgeTable, alike
from hvdtma.graph.sources.text_layout import find_layout, usual_columns
from hvdtma.graph.sources.text_table import Wanted, read_rows

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
    return EdgeTable(src, dst, *types)


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
