"""The inputs of a table: text files, Parquet and JSON files, queries, frames.

Only headers and schemas are read here; `Part.prepared` makes an input ready for its rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hvdtma.core.errors import UserError
from hvdtma.core.files import reporting_full_disk
from hvdtma.tables.database import INTEGERS, Database, literal_path, name, text
from hvdtma.tables.dialect import TextOptions, find_dialect
from hvdtma.tables.inputs import LINES, PARQUET, TEXT, Input, as_arrow
from hvdtma.tables.text import LINE, MARKED, PROBLEM, TRIMMED, TextFile
from hvdtma.tables.text_io import EmptyFile, open_text

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
        frame: Arrow data that `prepared` stores, or None.
        lines: a file of JSON lines, or None.
        is_empty: whether it is known to have no rows.
        constants: columns of text with one value for all rows, from the names of folders.
    """

    where: str
    types: dict[str, str]
    sql: str = ""
    text: TextFile | None = None
    frame: pa.Table | pa.RecordBatchReader | None = None
    lines: Path | None = None
    is_empty: bool = False
    constants: Mapping[str, str | None] = field(default_factory=dict)

    def with_constants(self, given: Mapping[str, str | None]) -> Part:
        """The part with further columns of one value, unless it has columns of these names."""
        lowered = [column.lower() for column in self.types]
        added = {c: value for c, value in given.items() if c.lower() not in lowered}
        return replace(self, types=self.types | dict.fromkeys(added, "VARCHAR"), constants=added)

    @property
    def is_parquet(self) -> bool:
        return self.sql.startswith(PARQUET_SELECT)

    def prepared(self, db: Database) -> Part:
        """The part, ready to be read: frames are stored, and mixed line ends are made one kind."""
        if self.text is not None and self.text.copy is None:
            copy = db.folder / db.new_name("lines")
            return replace(self, text=self.text.with_plain_lines(copy))
        if self.frame is None:
            return self
        return replace(self, sql=f"SELECT * FROM {db.store(self.frame, 'stored')}", frame=None)

    def joined(self, db: Database) -> Part:
        """The part, with line breaks in quoted fields."""
        if self.text is None:
            return self
        return replace(self, text=self.text.with_joined_lines(db.folder / db.new_name("lines")))

    def rows(self, columns: Mapping[str, str], rejects: str = "") -> str:
        """A SELECT of some columns, as the given types, with the columns of `TextFile.rows`."""
        if self.constants:
            read = {c: kind for c, kind in columns.items() if c not in self.constants}
            chosen = ", ".join(
                name(c) if c in read else f"{_literal(self.constants[c])} AS {name(c)}"
                for c in columns
            )
            rows = replace(self, constants={}).rows(read, rejects)
            return f"SELECT {chosen}, {PROBLEM}, {TRIMMED}, {MARKED}, {LINE} FROM ({rows})"
        if self.text is not None:
            return self.text.rows(list(columns), rejects)
        chosen = "".join(
            f"{name(c)}, " if self.types[c] == kind else f"CAST({name(c)} AS {kind}) AS {name(c)}, "
            for c, kind in columns.items()
        )
        return (
            f"SELECT {chosen}0::TINYINT AS {PROBLEM}, false AS {TRIMMED}, false AS {MARKED}, "
            f"NULL::VARCHAR AS {LINE} FROM ({self.sql})"
        )


def _literal(value: str | None) -> str:
    return "NULL::VARCHAR" if value is None else text(value)


def open_parts(
    db: Database, inputs: Sequence[Input], options: TextOptions, named: list[str | None],
    id_fields: int,
) -> tuple[list[Part], int]:  # fmt: skip
    """Open the inputs of a table, without those that have no rows, and count these.

    Raises UserError if an input cannot be read, and if all are empty files.
    """
    inputs, num_empty = _together(inputs)
    parts, empty_files = [], []
    for one in inputs:
        try:
            parts.append((one, part_of(db, one, options, named, id_fields)))
        except EmptyFile as error:
            empty_files.append(error)
    if not parts:
        raise empty_files[0]
    texts = [part.text.dialect for _, part in parts if part.text is not None]
    header = next((dialect.names for dialect in texts if dialect.header), None)
    said = replace(options, header="yes")  # of a part whose first line another part has as header
    opened = [
        part_of(db, one, said, named, id_fields)
        if part.text is not None and part.text.dialect.first_row == header
        else part
        for one, part in parts
    ]
    with_rows = [part for part in opened if not part.is_empty] or opened
    return with_rows, num_empty + len(empty_files) + len(opened) - len(with_rows)


def _together(inputs: Sequence[Input]) -> tuple[Sequence[Input], int]:
    """Parquet files of one schema as one input, for DuckDB reads them together.

    Returns the inputs, and the number of files without rows that were left out.
    """
    files = [one.path for one in inputs if one.kind in PARQUET and one.path is not None]
    if len(files) < 2 or len(files) < len(inputs):
        return inputs, 0
    footers = {file: _footer(file) for file in files}
    full = [file for file, (_, num_rows) in footers.items() if num_rows] or files
    schemas = [footers[file][0] for file in full]
    kept, num_empty = [one for one in inputs if one.path in full], len(files) - len(full)
    hive = any(one.partition != kept[0].partition for one in kept)
    if any(schema != schemas[0] for schema in schemas) or (
        hive and not all(_reads_partition(one, schemas[0]) for one in kept)
    ):
        return kept, num_empty
    more = tuple(full[1:])
    return [Input(kept[0].kind, full[0], more=more, partition=kept[0].partition, hive=hive)], (
        num_empty
    )


def _reads_partition(one: Input, schema: list[tuple[str, str]]) -> bool:
    """Whether DuckDB finds the columns of a partition in the path, and no others."""
    assert one.path is not None
    keys = [folder.split("=", 1)[0] for folder in one.path.absolute().parts[:-1] if "=" in folder]
    columns = {column.lower() for column, _ in schema}
    return keys == list(one.partition) and not columns & {key.lower() for key in keys}


def _footer(path: Path) -> tuple[list[tuple[str, str]], int]:
    """Names and types of the columns of a Parquet file, and the number of its rows."""
    try:
        found = pq.read_metadata(path)
        return [(f.name, str(f.type)) for f in found.schema.to_arrow_schema()], found.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"'{path}' cannot be read as Parquet: {error}") from None


def part_of(
    db: Database, given: Input, options: TextOptions, named: list[str | None], id_fields: int
) -> Part:
    """Open one input, with the columns of its partition.

    Raises UserError if it cannot be read, EmptyFile for a file without lines.
    """
    part = _without_partition(db, given, options, named, id_fields)
    return part if given.hive else part.with_constants(given.partition)


def _without_partition(
    db: Database, given: Input, options: TextOptions, named: list[str | None], id_fields: int
) -> Part:
    if given.kind in TEXT and given.path is not None:
        dialect = find_dialect(given.path, options, named, id_fields)
        _check_names(dialect.names, given.where)
        types = dict.fromkeys(dialect.names, "VARCHAR")
        file = TextFile(given.path, dialect)
        return Part(given.where, types, text=file, is_empty=not dialect.first_row)
    if given.frame is not None:
        return of_arrow(db, as_arrow(given.frame), given.where)
    is_empty = False
    if given.kind == "query":
        sql = f"SELECT * FROM ({given.query}\n)"
    elif given.kind in PARQUET:
        paths = [path for path in (given.path, *given.more) if path is not None]
        columns, num_rows = _footer(paths[0])
        _check_names([column for column, _ in columns], given.where)
        is_empty = not given.more and not num_rows
        hive = f", hive_partitioning={given.hive}, hive_types_autocast=false"
        sql = f"{PARQUET_SELECT}[{', '.join(map(literal_path, paths))}]{hive})"
    elif given.kind in LINES and given.path is not None:
        sql = _json_lines(db, given.path)
    lines = given.path if given.kind in LINES else None
    try:
        return Part(given.where, db.columns(sql), sql, lines=lines, is_empty=is_empty)
    except UserError as error:
        raise UserError(f"{given.where} cannot be read: {error}") from None


def of_arrow(db: Database, frame: pa.Table | pa.RecordBatchReader, where: str) -> Part:
    """An Arrow table, or record batches that can be read once."""
    _check_names(frame.schema.names, where)
    types = db.columns("SELECT * FROM given", {"given": frame.schema.empty_table()})
    is_empty = isinstance(frame, pa.Table) and not len(frame)
    return Part(where, types, frame=frame, is_empty=is_empty)


def _check_names(names: Sequence[str], where: str) -> None:
    lowered = [column.lower() for column in names]
    repeated = [column for column in names if lowered.count(column.lower()) > 1]
    if repeated:
        raise UserError(
            f"{where} has the columns {' and '.join(map(repr, repeated[:2]))}, whose names differ "
            "by case at most; give each a name of its own"
        )


def _json_lines(db: Database, path: Path) -> str:
    """A SELECT of a file of JSON lines.

    Text that looks like a date or a UUID, and columns of both numbers and text, are text.
    """
    with open_text(path) as lines:
        if not any(line.strip() for line in lines):
            raise EmptyFile(f"'{path}' is empty")
    read = f"read_json([{literal_path(path)}], format='newline_delimited', hive_partitioning=false"
    try:
        kinds = db.columns(f"SELECT * FROM {read}, sample_size=-1)")
    except UserError:
        kinds = _kinds_of_good_lines(db, path)
    kept = {c: "VARCHAR" if kind in (*_GUESSED, "JSON") else kind for c, kind in kinds.items()}
    columns = ", ".join(f"{text(c)}: {text(kind)}" for c, kind in kept.items())
    return f"SELECT * FROM {read}, columns={{{columns}}})"


def _kinds_of_good_lines(db: Database, path: Path) -> dict[str, str]:
    """The columns of a file of JSON lines that has broken lines; they are told when rows are read.

    Raises UserError if no line is a JSON object.
    """
    copy = db.folder / f"{db.new_name('lines')}.jsonl"
    numbers = {number for number, _ in broken_lines(path)}
    _copy_without(path, numbers, copy)
    read = f"read_json([{literal_path(copy)}], format='newline_delimited', sample_size=-1)"
    try:
        if not copy.stat().st_size:
            raise UserError(f"'{path}' has no line that is a JSON object")
        return db.columns(f"SELECT * FROM {read}")
    except UserError as error:
        raise UserError(f"'{path}' cannot be read: {error}") from None
    finally:
        copy.unlink()


def broken_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file of JSON lines that are no JSON object, by their numbers from 1."""
    found = []
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                is_object = not line.strip() or isinstance(json.loads(line), dict)
            except (json.JSONDecodeError, RecursionError):
                is_object = False
            if not is_object:
                found.append((number, line.rstrip("\r\n")))
    return found


def without_lines(part: Part, numbers: set[int], copy: Path) -> Part:
    """A part that reads a copy of its file of JSON lines without some lines."""
    if part.lines is None:
        return part
    _copy_without(part.lines, numbers, copy)
    sql = part.sql.replace(literal_path(part.lines), literal_path(copy))
    return replace(part, sql=sql, lines=copy)


def _copy_without(path: Path, numbers: set[int], copy: Path) -> None:
    with open_text(path) as lines, reporting_full_disk(copy):
        kept = (line for number, line in enumerate(lines, 1) if number not in numbers)
        with copy.open("w", encoding="utf-8", newline="", errors="surrogateescape") as target:
            target.writelines(kept)


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
