"""The inputs of a table: text files, Parquet and JSON files, queries, frames.

Only headers and schemas are read, except for queries and frames, which are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.tables.database import Database, name, text
from hvdtma.tables.dialect import TextOptions, find_dialect
from hvdtma.tables.inputs import LINES, PARQUET, TEXT, Input, as_arrow
from hvdtma.tables.text import (
    PROBLEM,
    TRIMMED,
    TextFile,
    open_text_file,
)

PARQUET_SELECT = "SELECT * FROM read_parquet("


@dataclass(frozen=True)
class Part:
    """One input of a table.

    Attributes:
        where: for messages.
        types: DuckDB's type of each column.
        sql: a SELECT of all columns; for text files it is made on demand.
        text: the text file, or None.
    """

    where: str
    types: dict[str, str]
    sql: str = ""
    text: TextFile | None = None

    def rows(self, columns: Sequence[str], parsed: bool = False, rejects: str = "") -> str:
        """A SELECT of some columns with `PROBLEM`, `TRIMMED` and the `line`."""
        if self.text is not None:
            read = self.text.parsed if parsed else self.text.rows
            return read(list(columns), rejects)
        chosen = ", ".join(map(name, columns))
        return (
            f"SELECT {chosen}, 0::TINYINT AS {PROBLEM}, false AS {TRIMMED}, NULL::VARCHAR AS line "
            f"FROM ({self.sql})"
        )


def together(inputs: list[Input]) -> list[Input]:
    """Parquet files of one folder or glob as one input, for DuckDB reads them together."""
    files = [one.path for one in inputs if one.kind in PARQUET and one.path is not None]
    if len(files) < 2 or len(files) < len(inputs):
        return inputs
    return [Input(inputs[0].kind, files[0], more=tuple(files[1:]))]


def part_of(
    db: Database, given: Input, options: TextOptions, named: list[str | None], id_fields: int
) -> Part:
    """Open one input; raises UserError if it cannot be read."""
    if given.kind in TEXT and given.path is not None:
        dialect = find_dialect(given.path, options, named, id_fields)
        file = open_text_file(given.path, dialect, db.folder)
        _check_names(dialect.names, given.where)
        return Part(given.where, dict.fromkeys(dialect.names, "VARCHAR"), text=file)
    if given.kind == "frame":
        return stored(db, as_arrow(given.frame), given.where)
    if given.kind == "query":
        table = db.new_name("query")
        db.run(f"CREATE TABLE {table} AS {given.query}")
        sql = f"SELECT * FROM {table}"
    elif given.kind in PARQUET:
        files = ", ".join(text(str(path)) for path in (given.path, *given.more))
        sql = f"{PARQUET_SELECT}[{files}])"
    elif given.kind in LINES:
        sql = f"SELECT * FROM read_json([{text(str(given.path))}], format='newline_delimited')"
    try:
        return Part(given.where, db.columns(sql), sql)
    except UserError as error:
        raise UserError(f"{given.where} cannot be read: {error}") from None


def stored(db: Database, frame: pa.Table | pa.RecordBatchReader, where: str) -> Part:
    """A frame, or record batches that can be read once, as a table of the database."""
    _check_names(frame.schema.names, where)
    table = db.new_name("stored")
    db.run(f"CREATE TABLE {table} AS SELECT * FROM given", {"given": frame})
    sql = f"SELECT * FROM {table}"
    return Part(where, db.columns(sql), sql)


def _check_names(names: Sequence[str], where: str) -> None:
    repeated = sorted({n for n in names if list(names).count(n) > 1})
    if repeated:
        raise UserError(f"{where} has several columns '{repeated[0]}'; give each its own name")


def common_type(parts: list[Part], column: str) -> str:
    """The type of a column in a table of several parts: text if one of them has text."""
    kinds = {part.types[column] for part in parts}
    return "VARCHAR" if "VARCHAR" in kinds else max(kinds)
