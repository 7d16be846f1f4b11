"""Read the rows of a text table with Arrow, and line by line to locate an error."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from hvdtma.core.errors import UserError
from hvdtma.tables.columns import Column, is_integer
from hvdtma.tables.opening import open_text
from hvdtma.tables.text_layout import Layout

ROWS_PER_PIECE = 1 << 17
BLOCK_BYTES = 1 << 20  # the maximum length of a row
_MAX_SHOWN = 80  # characters of a line in a message
_DIGITS = re.compile(r"\s*-?[0-9]+\s*", re.ASCII)


@dataclass(frozen=True)
class ColumnRequest:
    """A column to read: its position, whether it holds integers, whether fields may be empty."""

    position: int
    integers: bool = False
    may_be_empty: bool = False


def row_pieces(
    path: Path, layout: Layout, columns: list[ColumnRequest], *, multiline: bool = False
) -> Iterator[list[Column]]:
    """The requested columns, int64 or large_string, `ROWS_PER_PIECE` rows or more at a time.

    `multiline` allows line breaks inside quoted fields. Raises UserError, naming the line, for a
    missing, extra or empty field, for text in a column of integers, and for broken UTF-8.
    """
    batches: list[pa.RecordBatch] = []
    try:
        for batch in _batches(path, layout, columns, multiline):
            for at, column in enumerate(columns):
                if batch.column(at).null_count and not column.may_be_empty:
                    raise pa.ArrowInvalid("a field is empty")
            batches.append(batch)
            if sum(map(len, batches)) >= ROWS_PER_PIECE:
                yield pa.Table.from_batches(batches).columns
                batches = []
    except pa.ArrowInvalid as error:
        raise _first_bad_line(path, layout, columns, str(error)) from None
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error}") from None
    if batches:
        yield pa.Table.from_batches(batches).columns


def _batches(
    path: Path, layout: Layout, columns: list[ColumnRequest], multiline: bool
) -> Iterator[pa.RecordBatch]:
    """Arrow's record batches, one per block of text; Arrow reads up to 32 blocks ahead."""
    names = [str(number) for number in range(len(layout.names))]
    types = {str(c.position): pa.int64() if c.integers else pa.large_string() for c in columns}
    with (
        pa.input_stream(path, compression="gzip" if _is_gzip(path) else None) as stream,
        pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                skip_rows=layout.skip_lines, column_names=names, block_size=BLOCK_BYTES
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=multiline
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[""],
                strings_can_be_null=True,
            ),
        ) as batches,
    ):
        for batch in batches:
            yield batch.select([str(c.position) for c in columns])


def _is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _first_bad_line(
    path: Path, layout: Layout, columns: list[ColumnRequest], reason: str
) -> UserError:
    """The error for the first bad line, which is found by reading again line by line."""
    with open_text(path) as lines:
        rows = csv.reader(
            itertools.islice(lines, layout.skip_lines, None),
            strict=True,
            delimiter=layout.delimiter,
        )
        line = layout.skip_lines + 1
        try:
            for row in rows:
                problem = _problem(row, layout, columns)
                if problem:
                    return _at_line(path, line, problem)
                line = layout.skip_lines + rows.line_num + 1
        except csv.Error as error:
            return _at_line(path, line, f"{error}; are its quotes closed?")
    return UserError(f"'{path}' cannot be read: {reason}")


def _problem(row: list[str], layout: Layout, columns: list[ColumnRequest]) -> str | None:
    if not row:
        return None
    if len(row) != len(layout.names):
        return f"{len(row)} fields, but the lines before have {len(layout.names)}"
    for column in columns:
        field, name = row[column.position], layout.names[column.position]
        if not field and not column.may_be_empty:
            return f"column '{name}' is empty"
        if column.integers and not _fits_int64(field):
            return (
                f"column '{name}' is not an integer of 64 bits, but the ids before it are; "
                "if the ids are text, give --id-type str"
            )
        if any("\udc80" <= character <= "\udcff" for character in field):
            return f"column '{name}' is not UTF-8; convert the file first"
    return None


def _fits_int64(field: str) -> bool:
    """Whether Arrow reads a field as an integer: blanks around it and leading zeros are allowed."""
    return bool(_DIGITS.fullmatch(field)) and is_integer(str(int(field)))


def _at_line(path: Path, number: int, problem: str) -> UserError:
    with open_text(path) as lines:
        text = next(itertools.islice(lines, number - 1, None), "").rstrip("\r\n")
    text = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    text = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
    return UserError(f"{path}, line {number}: {problem}. The line is: {text}")
