"""Tables: rows with named columns, from files, queries and frames alike.

Legend: R rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from rich.markup import escape

from hvdtma.core.console import console, warn
from hvdtma.core.errors import UserError
from hvdtma.tables.columns import position_of
from hvdtma.tables.database import Database, name, text
from hvdtma.tables.dialect import Dialect, TextOptions
from hvdtma.tables.inputs import TABLE_FILES, has_unnamed_index, index_columns, resolve
from hvdtma.tables.parts import Part, broken_lines, common_type, open_parts, without_lines
from hvdtma.tables.rejects import BadRow, BadRows
from hvdtma.tables.text import (
    COMMENT,
    FIELDS,
    HEADER_AGAIN,
    LINE,
    MARKED,
    MAX_LINE_BYTES,
    PROBLEM,
    QUOTES,
    REASONS,
    SKIPPED,
    TRIMMED,
    breaks_in,
    with_breaks,
)

_OF_ROWS = re.compile(r"__index_level_\d+__|Unnamed: \d+")  # names that pandas makes
_FIRST_CHECK = 10  # codes of checks follow those of text


@dataclass(frozen=True)
class Check:
    """A condition that no good row meets: SQL over the columns, and the words for messages."""

    condition: str
    words: str


@dataclass
class Staged:
    """The good rows of some columns of a table.

    Attributes:
        sql: a table or a subquery, to select from.
        counts: notes by name: `bad_rows_skipped`, `comment_lines`, `repeated_headers`,
            `rows_with_blanks_around_fields`, `byte_order_marks_inside`.
    """

    sql: str
    num_rows: int
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class InputTable:
    """Rows with named columns; several inputs have the same columns.

    Attributes:
        where: for messages.
        types: DuckDB's type of each column; VARCHAR for text.
        parts: the inputs.
        num_empty: the number of inputs that were left out because they have no rows.
        index: the columns that were the named index of a pandas frame.
        has_unnamed_index: whether a pandas frame has an index that is not read.
        is_text: whether all columns are text because the format has no types.
        header_unsure: whether the first line may be a header; see `Dialect`.
    """

    db: Database
    where: str
    types: dict[str, str]
    parts: list[Part]
    num_empty: int = 0
    index: list[str] = field(default_factory=list)
    has_unnamed_index: bool = False
    _rejected: list[BadRow] = field(default_factory=list)  # lines that could not be read
    _staged: tuple[dict[str, str], str] = field(default_factory=lambda: ({}, ""))  # types, code

    @property
    def names(self) -> list[str]:
        return list(self.types)

    @property
    def dialects(self) -> list[Dialect]:
        """Those of the text files."""
        return [part.text.dialect for part in self.parts if part.text is not None]

    @property
    def is_text(self) -> bool:
        return bool(self.dialects)

    @property
    def header_unsure(self) -> bool:
        return any(dialect.header_unsure for dialect in self.dialects)

    @property
    def named(self) -> list[str]:
        """The columns with a name that a person gave: numbers of rows have none."""
        first = any(dialect.lacks_first_name for dialect in self.dialects)
        return [column for column in self.names[first:] if not _OF_ROWS.fullmatch(column)]

    @property
    def first_row(self) -> list[str]:
        """The fields of the first row of the first text file."""
        return self.dialects[0].first_row

    def check_header(self) -> None:
        """Raise UserError if the first line may be a header or a row."""
        if self.header_unsure:
            raise UserError(
                f"{self.where}: the first line, {', '.join(self.first_row)}, may be a header or a "
                "row; give --header yes or --header no"
            )

    def column(self, column: str) -> str:
        """The name of a column; raises UserError, listing the names, if there is none."""
        return self.names[position_of(column, self.names, self.where)]

    def stage(
        self, columns: Sequence[str], checks: Sequence[Check], bad: BadRows, *, multiline: bool
    ) -> Staged:
        """Read some columns and check the rows.

        Args:
            checks: rows that meet a condition are bad.
            bad: told of bad rows; raises UserError for the first one unless they are skipped.
            multiline: whether quoted fields may have line breaks.
        """
        self.parts = [part.prepared(self.db) for part in self.parts]
        columns = list(dict.fromkeys(columns))
        typed = {column: self.types[column] for column in columns}
        rejected: list[BadRow] = []
        if all(part.is_parquet for part in self.parts):
            staged = f"({' UNION ALL '.join(part.rows(typed) for part in self.parts)})"
        else:
            staged = self._stored(typed, bad, rejected)
            open_quotes = f"SELECT count(*) FROM {staged} WHERE {PROBLEM} = {QUOTES}"
            if multiline and self.is_text and self.db.value(open_quotes):
                self.db.run(f"DROP TABLE {staged}")
                self.parts = [part.joined(self.db) for part in self.parts]
                staged = self._stored(typed, bad, rejected)
        code = self._code(checks)
        found = self.db.run(
            f"SELECT code, count(*), count(*) FILTER ({TRIMMED}), count(*) FILTER ({MARKED}) "
            f"FROM (SELECT {code} AS code, {TRIMMED}, {MARKED} FROM {staged}) GROUP BY 1"
        )
        number = {key: count for key, count, *_ in found}
        num_wrong = sum(n for key, n in number.items() if key and key not in SKIPPED)
        if num_wrong or rejected:
            located = self._bad_rows(typed, code, checks, bad.limit, rejected)
            bad.add(located, num_wrong + len(rejected), none_good=not number.get(0, 0))
        counts = {
            "comment_lines": number.get(COMMENT, 0) + sum(d.num_comments for d in self.dialects),
            "repeated_headers": number.get(HEADER_AGAIN, 0),
            "inputs_without_rows": self.num_empty,
            "bad_rows_skipped": num_wrong + len(rejected),
            "rows_with_blanks_around_fields": sum(t for key, _, t, _ in found if not key),
            "byte_order_marks_inside": sum(marks for *_, marks in found),
        }
        self._warn_of_comments(staged, columns)
        self._rejected, self._staged = rejected, (typed, code)
        good = staged
        if set(number) - {0}:
            chosen = ", ".join(map(name, columns))
            good = f"(SELECT {chosen} FROM {staged} WHERE ({code}) = 0)"
        return Staged(good, number.get(0, 0), {k: n for k, n in counts.items() if n})

    def without(self, staged: Staged, check: Check, bad: BadRows) -> Staged:
        """The rows that do not meet one more condition, which is known after `stage` only.

        Args:
            bad: told of rows that meet it; raises UserError for the first unless they are skipped.
        """
        number = self.db.value(f"SELECT count(*) FROM {staged.sql} WHERE {check.condition}")
        if not number:
            return staged
        typed, code = self._staged
        later = f"CASE WHEN ({code}) = 0 AND {check.condition} THEN {_FIRST_CHECK} ELSE 0 END"
        limit = bad.limit + len(self._rejected)
        found = self._bad_rows(typed, later, [check], limit, self._rejected)
        bad.add((row for row in found if row not in self._rejected), number)
        skipped = staged.counts.get("bad_rows_skipped", 0) + number
        good = f"(SELECT * FROM {staged.sql} WHERE ({check.condition}) IS NOT TRUE)"
        counts = staged.counts | {"bad_rows_skipped": skipped}
        return Staged(good, staged.num_rows - number, counts)

    def _warn_of_comments(self, staged: str, columns: Sequence[str]) -> None:
        """Print a warning of rows that begin like a comment but have the fields of a table."""
        marks = {dialect.comment for dialect in self.dialects}
        if self.names[0] not in columns or not any(marks):
            return
        first = name(self.names[0])
        found = self.db.run(
            f"SELECT count(*), min({first}) FROM {staged} WHERE {PROBLEM} = 0 AND "
            f"contains({text(''.join(sorted(marks)))}, {first}[1]) AND {first} <> ''"
        )
        number, example = found[0]
        if number:
            warn(
                f"warning: {number:,} rows of {self.where} begin with {example[0]!r}, such as "
                f"'{example[:40]}', and were read as data; if they are comments, give "
                f"--comment {example[0]!r}"
            )

    def _code(self, checks: Sequence[Check]) -> str:
        cases = [f"WHEN {PROBLEM} <> 0 THEN {PROBLEM}"]
        cases += [f"WHEN {c.condition} THEN {n}" for n, c in enumerate(checks, _FIRST_CHECK)]
        return f"CASE {' '.join(cases)} ELSE 0 END"

    def _stored(self, columns: dict[str, str], bad: BadRows, rejected: list[BadRow]) -> str:
        """The rows of all parts as a table of the database."""
        staged, chosen = self.db.new_name("rows"), ", ".join(map(name, columns))
        rejected.clear()
        for at, part in enumerate(self.parts):
            target = f"INSERT INTO {staged}" if at else f"CREATE TABLE {staged} AS"
            rejects = self.db.new_name("rejects") if bad.skip and part.text is not None else ""
            rows = part.rows(columns, rejects)
            try:
                self.db.run(
                    f"{target} SELECT {chosen}, {PROBLEM}, {TRIMMED}, {MARKED} FROM ({rows})"
                )
            except UserError as error:
                broken = [] if part.lines is None else broken_lines(part.lines)
                if part.lines is None or not broken:
                    raise _located(error, part) from None
                rows_of = [BadRow(part.where, no, "it is no JSON object", ln) for no, ln in broken]
                if not bad.skip:
                    bad.add(rows_of, len(broken))
                copy = self.db.folder / f"{self.db.new_name('lines')}.jsonl"
                part = without_lines(part, {number for number, _ in broken}, copy)
                self.parts[at] = part
                rejected += rows_of
                rows = part.rows(columns)
                self.db.run(
                    f"{target} SELECT {chosen}, {PROBLEM}, {TRIMMED}, {MARKED} FROM ({rows})"
                )
            if rejects and part.text is not None:
                lines = f"SELECT line, error_message, csv_line FROM {rejects} ORDER BY line"
                found = self.db.run(lines)
                numbers = part.text.original_lines([number for number, *_ in found])
                rejected += [
                    BadRow(part.where, number, _reason(why), line.lstrip("\n"))
                    for number, (_, why, line) in zip(numbers, found, strict=True)
                ]
        return staged

    def _bad_rows(
        self,
        columns: dict[str, str],
        code: str,
        checks: Sequence[Check],
        limit: int,
        rejected: list[BadRow],
    ) -> Iterator[BadRow]:
        """Bad rows, in order, with the numbers of their lines."""
        chosen = ", ".join(map(name, columns))
        for part in self.parts:
            unread = [row for row in rejected if row.where == part.where]
            rejects = self.db.new_name("rejects") if unread else ""
            skipped = part.text.dialect.skip_lines if part.text is not None else 0
            joined = part.text is not None and part.text.joined
            breaks = breaks_in(LINE) if joined else "0"
            found = self.db.run(
                f"SELECT n, code, {LINE} FROM (SELECT row_number() OVER () + {skipped} + "
                f"sum({breaks}) OVER (ROWS UNBOUNDED PRECEDING) - {breaks} AS n, "
                f"{code} AS code, {LINE} FROM (SELECT {chosen}, {PROBLEM}, {LINE} "
                f"FROM ({part.rows(columns, rejects)}))) "
                f"WHERE code > 0 AND code NOT IN {SKIPPED} LIMIT {limit}"
            )
            wrong = list(unread)
            for number, key, line in found:
                for row in unread:  # lines that were not read have no number here
                    number += row.number <= number
                words = self._words(key, line, part, checks)
                wrong.append(BadRow(part.where, number, words, line and with_breaks(line)))
            yield from sorted(wrong, key=lambda row: row.number)
            limit -= len(found)

    @staticmethod
    def _words(key: int, line: str, part: Part, checks: Sequence[Check]) -> str:
        if key >= _FIRST_CHECK:
            return checks[key - _FIRST_CHECK].words
        if key == FIELDS and part.text is not None:
            fields, number = part.text.dialect.fields(line), len(part.text.dialect.names)
            words = f"{len(fields)} fields, but the lines before have {number}"
            if len(fields) == number + 1 and fields[-1] == "":
                words += "; remove the delimiter at the end of the line"
            return words
        return REASONS[key]


def open_table(
    db: Database,
    given: Any,
    content: str,
    options: TextOptions,
    *,
    endings: Sequence[str] = TABLE_FILES,
    named: Iterable[str | None] = (),
    id_fields: int = 2,
    readers: Mapping[str, Callable[[Path], pa.RecordBatchReader]] = MappingProxyType({}),
) -> InputTable:
    """Open what was given for an argument; only headers and schemas are read.

    Args:
        content: the plural for messages, such as "edges".
        options: of text files.
        named: columns that the user names; they help to detect a header.
        id_fields: the number of id columns at the start of a row.
        readers: further endings of files, and functions that read them.

    Raises UserError for inputs that cannot be opened or have different columns.
    """
    inputs = [
        replace(one, frame=readers[one.kind](one.path)) if one.path and one.kind in readers else one
        for one in resolve(given, content, endings)
    ]
    parts, num_empty = open_parts(db, inputs, options, list(named), id_fields)
    first = parts[0]
    for part in parts[1:]:
        if list(part.types) != list(first.types) and set(part.types) != set(first.types):
            raise UserError(
                f"{part.where} has the columns {', '.join(part.types)}, but {first.where} has "
                f"{', '.join(first.types)}; the parts of {content} have the same columns"
            )
    if first.text is not None:
        dialect = escape(f"{first.where}: {first.text.dialect}")
        console.print(dialect, style="dim", soft_wrap=True)
    for part in parts:
        if part.text is not None and part.text.dialect.unclear_comment:
            line = part.text.dialect.unclear_comment
            warn(
                f"warning: {part.where}: the line '{line[:80]}' before the table was read as a "
                f"comment; if it is a row, give --comment none"
            )
    where = first.where if len(parts) == 1 else f"{first.where} and {len(parts) - 1} more"
    types = {column: common_type(parts, column) for column in first.types}
    if num_empty:
        console.print(f"{content}: {num_empty:,} files without rows are left out")
    index = list(dict.fromkeys(column for one in inputs for column in index_columns(one)))
    unnamed = any(map(has_unnamed_index, inputs))
    index = [column for column in index if column in types]
    return InputTable(db, where, types, parts, num_empty, index, unnamed)


_NUMBER = re.compile(r"CSV Error on Line: (\d+)")


def _located(error: UserError, part: Part) -> UserError:
    """An error of DuckDB's reader with the file, the line and its text."""
    found = _NUMBER.search(str(error))
    if found is None or part.text is None:
        return UserError(f"{part.where} cannot be read: {error}")
    (number,) = part.text.original_lines([int(found[1])])
    return UserError(str(BadRow(part.where, number, _reason(str(error)), part.text.line(number))))


def _reason(message: str) -> str:
    """The reason that DuckDB gives, in our words if it is a usual one."""
    if "unicode" in message:
        return "it is not UTF-8; convert the file first"
    if "Maximum line size" in message:
        return f"it is longer than {MAX_LINE_BYTES >> 20} MiB"
    return message.split(". ", 1)[0].rstrip(".")
