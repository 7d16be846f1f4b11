"""The inputs of a table: text files, Parquet and JSON files, queries, frames.

Only headers and schemas are read, except for queries and frames, which are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hvdtma.core.errors import UserError
from hvdtma.tables.database import INTEGERS, Database, literal_path, name, text
from hvdtma.tables.dialect import TextOptions, find_dialect
from hvdtma.tables.inputs import LINES, PARQUET, TEXT, Input, as_arrow
from hvdtma.tables.text import (
    LINE,
    PROBLEM,
    TRIMMED,
    TextFile,
    open_text_file,
)

_GUESSED = ("UUID", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")  # in JSON strings
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

    def rows(self, columns: Mapping[str, str], parsed: bool = False, rejects: str = "") -> str:
        """A SELECT of some columns, as the given types, with `PROBLEM`, `TRIMMED` and `LINE`."""
        if self.text is not None:
            read = self.text.parsed if parsed else self.text.rows
            return read(list(columns), rejects)
        chosen = ", ".join(
            name(c) if self.types[c] == kind else f"CAST({name(c)} AS {kind}) AS {name(c)}"
            for c, kind in columns.items()
        )
        return (
            f"SELECT {chosen}, 0::TINYINT AS {PROBLEM}, false AS {TRIMMED}, "
            f"NULL::VARCHAR AS {LINE} FROM ({self.sql})"
        )


def together(inputs: list[Input]) -> list[Input]:
    """Parquet files of one schema as one input, for DuckDB reads them together."""
    files = [one.path for one in inputs if one.kind in PARQUET and one.path is not None]
    if len(files) < 2 or len(files) < len(inputs):
        return inputs
    schemas = [_parquet_schema(file) for file in files]
    if any(schema != schemas[0] for schema in schemas):
        return inputs
    return [Input(inputs[0].kind, files[0], more=tuple(files[1:]))]


def _parquet_schema(path: Path) -> list[tuple[str, str]]:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"'{path}' cannot be read as Parquet: {error}") from None
    return [(field.name, str(field.type)) for field in schema]


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
        paths = [path for path in (given.path, *given.more) if path is not None]
        _check_names([column for column, _ in _parquet_schema(paths[0])], given.where)
        hive = "" if given.more else ", hive_partitioning=false"
        sql = f"{PARQUET_SELECT}[{', '.join(map(literal_path, paths))}]{hive})"
    elif given.kind in LINES and given.path is not None:
        sql = _json_lines(db, given.path)
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
    lowered = [column.lower() for column in names]
    repeated = [column for column in names if lowered.count(column.lower()) > 1]
    if repeated:
        raise UserError(
            f"{where} has the columns {' and '.join(map(repr, repeated[:2]))}, whose names differ "
            "by case at most; give each a name of its own"
        )


def _json_lines(db: Database, path: Path) -> str:
    """A SELECT of a file of JSON lines; what looks like a date or a UUID stays text."""
    read = f"read_json([{literal_path(path)}], format='newline_delimited'"
    kinds = db.columns(f"SELECT * FROM {read})")
    kept = {c: "VARCHAR" if kind in _GUESSED else kind for c, kind in kinds.items()}
    columns = ", ".join(f"{text(c)}: {text(kind)}" for c, kind in kept.items())
    return f"SELECT * FROM {read}, columns={{{columns}}})"


def common_type(parts: list[Part], column: str) -> str:
    """The type of a column in a table of several parts, in which no value of a part changes."""
    kinds = {part.types[column] for part in parts}
    if len(kinds) == 1:
        return kinds.pop()
    if kinds <= set(INTEGERS):
        return "BIGINT" if "UBIGINT" not in kinds and "HUGEINT" not in kinds else "HUGEINT"
    numbers = (*INTEGERS, "FLOAT", "DOUBLE")
    if all(kind in numbers or kind.startswith("DECIMAL") for kind in kinds):
        return "DOUBLE"
    return "VARCHAR"
