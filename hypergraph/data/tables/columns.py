"""Columns of a CSV, TSV or Parquet table, gzipped or not: ids, numbers, words.

Legend: n rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.errors import UserError
from hvdtma.tables.columns import Column, ids_of, position_of
from hvdtma.tables.opening import TEXT, suffix_of
from hvdtma.tables.parquet import open_parquet, parquet_pieces
from hvdtma.tables.text_layout import Layout, find_layout
from hvdtma.tables.text_table import ColumnRequest, row_pieces

TABLE_FILES = [*TEXT, *(suffix + ".gz" for suffix in TEXT), ".parquet"]


def column_names(path: Path, named: Sequence[str] = ()) -> list[str]:
    """The names of a table's columns; `1`, `2`, ... without a header.

    Args:
        named: columns that the caller knows; they help to detect the header.

    Raises UserError for a missing or unreadable file, and if it is unclear whether the first line
    of a text table is a header.
    """
    if suffix_of(path, TABLE_FILES, "table") == ".parquet":
        return open_parquet(path).schema_arrow.names
    layout = _layout(path, named)
    if layout.header_unsure:
        raise UserError(
            f"'{path}': its first line, {', '.join(layout.first_row)}, may be a header or a row; "
            "name the id columns (edge_columns, or the features' id): by the names in the header, "
            "or by the numbers 1, 2 if the line is a row"
        )
    return layout.names


def read_columns(
    path: Path, names: Sequence[str], *, may_be_empty: bool = False, multiline: bool = False
) -> list[Column]:
    """The named columns [n]: strings from text tables, the stored types from Parquet.

    Args:
        may_be_empty: whether fields of a text table may be empty; such fields become null.
        multiline: whether quoted fields of a text table may contain line breaks.

    Raises UserError for a missing file or column, and for a line that cannot be read.
    """
    if suffix_of(path, TABLE_FILES, "table") == ".parquet":
        known = open_parquet(path).schema_arrow
        for name in names:
            position_of(name, known.names, f"'{path}'")
        kinds = pa.schema([known.field(name) for name in names])
        table = pa.Table.from_batches(parquet_pieces(path, list(names)), None).select(list(names))
        return table.cast(kinds).columns
    layout = _layout(path, names)
    wanted = [
        ColumnRequest(position_of(name, layout.names, f"'{path}'"), may_be_empty=may_be_empty)
        for name in names
    ]
    pieces = [list(columns) for columns in row_pieces(path, layout, wanted, multiline=multiline)]
    if not pieces:
        raise UserError(f"'{path}' has no rows below its header")
    return [pa.chunked_array([c for p in pieces for c in p[at].chunks]) for at in range(len(names))]


def _layout(path: Path, named: Sequence[str]) -> Layout:
    """The layout of a text table; named columns need a header, numbered ones do not."""
    header = "auto" if all(name.isdigit() for name in named) else "yes"
    return find_layout(path, named=named, header=header, delimiter=None)


def as_ids(column: Column, where: str) -> Column:
    """Ids as int64 or large_string. Text becomes integers if that loses nothing.

    With one id such as `007`, all ids of the column are strings. Raises UserError for a missing id.
    """
    ids = ids_of(column, where)
    if pa.types.is_integer(ids.type):
        return ids
    try:
        numbers = ids.cast(pa.int64())
    except pa.ArrowInvalid:
        return ids
    return numbers if pc.all(pc.equal(numbers.cast(pa.large_string()), ids)).as_py() else ids


def of_one_kind(columns: Iterable[Column]) -> list[pa.ChunkedArray]:
    """Columns of ids as one type: int64 if all are integers, else large_string."""
    columns = [c if isinstance(c, pa.ChunkedArray) else pa.chunked_array([c]) for c in columns]
    if all(pa.types.is_integer(column.type) for column in columns):
        return columns
    return [column.cast(pa.large_string()) for column in columns]


def as_numbers(column: Column, where: str) -> np.ndarray:
    """Numbers float64 [n], NaN if missing; raises UserError for a value that is no number."""
    try:
        numbers = column.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        odd = next((value for value in column.to_pylist() if not _is_number(value)), None)
        raise UserError(f"{where} has {odd!r}, which is no number") from None
    return pc.fill_null(numbers, np.nan).to_numpy()


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value is None
    return True
