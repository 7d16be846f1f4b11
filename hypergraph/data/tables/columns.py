"""Columns of a table: ids, numbers, words.

Legend: n rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.errors import UserError
from hvdtma.tables.columns import Column, ids_of
from hvdtma.tables.database import Database, temporary_database
from hvdtma.tables.database import name as sql_name
from hvdtma.tables.dialect import TextOptions
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import Check, InputTable, open_table


def column_names(path: Path, named: Sequence[str] = ()) -> list[str]:
    """The names of a table's columns; `1`, `2`, ... without a header.

    Args:
        named: columns that the caller knows; they help to detect the header.

    Raises UserError for a missing or unreadable file, and if it is unclear whether the first line
    of a text table is a header.
    """
    with temporary_database() as db:
        table = _open(db, path, named)
    if table.header_unsure:
        raise UserError(
            f"'{path}': its first line, {', '.join(table.first_row)}, may be a header or a row; "
            "name the id columns (edge_columns, or the features' id): by the names in the header, "
            "or by the numbers 1, 2 if the line is a row"
        )
    return table.names


def read_columns(
    path: Path, names: Sequence[str], *, may_be_empty: bool = False, multiline: bool = False
) -> list[Column]:
    """The named columns [n]: strings from text tables, the stored types from Parquet.

    Args:
        may_be_empty: whether fields of a text table may be empty; such fields become null.
        multiline: whether quoted fields of a text table may contain line breaks.

    Raises UserError for a missing file or column, and for a line that cannot be read.
    """
    with temporary_database() as db:
        table = _open(db, path, names)
        for name in names:
            table.column(name)
        checks = []
        if table.is_text and not may_be_empty:
            checks = [Check(f"{sql_name(n)} = ''", f"column '{n}' is empty") for n in names]
        staged = table.stage(names, checks, BadRows(), multiline=multiline)
        if not staged.num_rows:
            raise UserError(f"'{path}' has no rows below its header")
        values = [
            f"NULLIF({sql_name(name)}, '')" if table.is_text else sql_name(name) for name in names
        ]
        batches = list(db.batches(f"SELECT {', '.join(values)} FROM {staged.sql}"))
    return pa.Table.from_batches(batches).columns


def _open(db: Database, path: Path, named: Sequence[str]) -> InputTable:
    """Open a table; named columns need a header, numbered ones do not."""
    header = "auto" if all(name.isdigit() for name in named) else "yes"
    return open_table(db, path, "table", TextOptions(header=header), named=named)


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
