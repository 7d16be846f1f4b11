"""Read edges from a file of any supported format, some at a time and in the user's ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.graph.ingest.edge_arrays import edges_of_npy, edges_of_npz
from hvdtma.graph.ingest.edge_file import EdgeFile, EdgeOptions, EdgeRows
from hvdtma.tables.columns import are_strings, ids_of, is_integer, position_of
from hvdtma.tables.opening import TEXT, suffix_of
from hvdtma.tables.parquet import open_parquet, parquet_pieces
from hvdtma.tables.text_layout import Layout, find_layout, usual_columns
from hvdtma.tables.text_table import ColumnRequest, row_pieces

EDGE_FILES = [*TEXT, *(suffix + ".gz" for suffix in TEXT), ".parquet", ".npy", ".npz"]


def open_edges(path: Path, options: EdgeOptions) -> EdgeFile:
    """Open the edges of a CSV/TSV, Parquet, NPY or NPZ file.

    Raises UserError for a missing file, an unknown ending or column, a wrong shape.
    """
    suffix = suffix_of(path, EDGE_FILES, "edges")
    if suffix == ".parquet":
        file = _from_parquet(path, options)
    elif suffix == ".npy":
        file = edges_of_npy(path, options)
    elif suffix == ".npz":
        file = edges_of_npz(path, options)
    else:
        return _from_text(path, options)
    if options.id_type == "auto":
        return file
    return replace(file, strings=options.id_type == "str")


def _from_text(path: Path, options: EdgeOptions) -> EdgeFile:
    named = (options.src_column, options.dst_column, options.type_column)
    layout = find_layout(path, named=named, header=options.header, delimiter=options.delimiter)
    ends = _end_columns(layout.names, options, f"'{path}'")
    integers = _first_are_integers(layout, ends)
    if options.id_type != "auto":
        integers = options.id_type == "int"
    requests = [ColumnRequest(end, integers=integers) for end in ends]
    if options.type_column is not None:
        requests.append(ColumnRequest(position_of(options.type_column, layout.names, f"'{path}'")))
    names = " to ".join(f"'{layout.names[end]}'" for end in ends)
    header = "from the header" if layout.has_header else "no header"
    console.print(f"{escape(path.name)}: edges from {escape(names)} ({header})")

    def read() -> Iterator[EdgeRows]:
        for columns in row_pieces(path, layout, requests):
            yield EdgeRows(*columns)

    typed = options.type_column is not None
    return EdgeFile(path, not integers, typed, read, header_unsure=layout.header_unsure)


def _first_are_integers(layout: Layout, ends: tuple[int, int]) -> bool:
    first_ids = [layout.first_row[end : end + 1] for end in ends]
    return all(field and is_integer(field[0].strip()) for field in first_ids)


def _end_columns(names: list[str], options: EdgeOptions, where: str) -> tuple[int, int]:
    if options.src_column is not None and options.dst_column is not None:
        src, dst = (position_of(c, names, where) for c in (options.src_column, options.dst_column))
        return src, dst
    if len(names) < 2:
        raise UserError(f"{where} has one column, '{names[0]}'; edges need two columns")
    return usual_columns(names) or (0, 1)


def _from_parquet(path: Path, options: EdgeOptions) -> EdgeFile:
    schema = open_parquet(path).schema_arrow
    names = schema.names
    columns = [names[end] for end in _end_columns(names, options, f"'{path}'")]
    typed = options.type_column is not None
    if options.type_column is not None:
        columns.append(names[position_of(options.type_column, names, f"'{path}'")])
    where = [f"column '{name}' of '{path}'" for name in columns]
    kinds = [
        ids_of(pa.array([], schema.field(n).type), w) for n, w in zip(columns, where, strict=True)
    ]

    def read() -> Iterator[EdgeRows]:
        first = 0
        for batch in parquet_pieces(path, columns):
            named = zip(columns, where, strict=True)
            yield EdgeRows(*(ids_of(batch.column(n), w, first) for n, w in named))
            first += len(batch)

    return EdgeFile(path, any(map(are_strings, kinds[:2])), typed, read)
