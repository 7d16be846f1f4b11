"""The layout of a text table: comment lines, delimiter, header, column names."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.columns import ID_NAMES, is_integer
from hvdtma.tables.opening import open_text

DELIMITERS = "\t,; "  # in the order of detection
HEADERS = ("auto", "yes", "no")
USUAL_NAMES = (
    ("src", "dst"),
    ("source", "target"),
    ("from", "to"),
    ("head", "tail"),
    ("u", "v"),
    ("id_1", "id_2"),
    ("id1", "id2"),
    ("node_1", "node_2"),
    ("node1", "node2"),
    ("source_node", "target_node"),
    ("fromnodeid", "tonodeid"),
)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Layout:
    """The layout of a text table.

    Attributes:
        skip_lines: the number of comment lines, blank lines and header lines at the start.
        delimiter: one character.
        names: the column names; `1`, `2`, ... without a header.
        first_row: the fields of the first row of data; empty without data.
        has_header: whether the names are from the file.
        header_unsure: whether the first row of data may be a header of unusual names.
    """

    skip_lines: int
    delimiter: str
    names: list[str]
    first_row: list[str]
    has_header: bool
    header_unsure: bool = False


def find_layout(
    path: Path,
    *,
    named: Iterable[str | None],
    header: str,
    delimiter: str | None,
    id_fields: int = 2,
) -> Layout:
    """Detect the layout of a text table from its first lines.

    Leading lines that begin with `#` or `%` are comments. With `header="auto"` the next line is a
    header if it has a column of `named`, or usual names, or if none of its first `id_fields` fields
    is an integer while all of those of the following line are.

    Raises UserError for an unknown `header`, an empty file, and if no delimiter is found.
    """
    if header not in HEADERS:
        raise UserError(f"header is '{header}'; {nearest(header, list(HEADERS))}")
    if delimiter is not None and len(delimiter) != 1:
        raise UserError(f"delimiter is {delimiter!r}; it must be one character")
    with open_text(path) as lines:
        num_comments, first_line = _after_comments(lines)
        if first_line is None:
            raise UserError(f"'{path}' is empty")
        delimiter = delimiter or _sniff(first_line, path)
        reader = csv.reader(itertools.chain([first_line], lines), delimiter=delimiter)
        rows = (row for row in reader if row)
        try:
            first = next(rows)
            header_lines = reader.line_num
            second = next(rows, [])
        except csv.Error as error:
            raise UserError(f"'{path}' cannot be read as a table: {error}") from None
    looks_like_header = _is_header(first, second, named, id_fields)
    if header == "yes" or (header == "auto" and looks_like_header):
        return Layout(num_comments + header_lines, delimiter, first, second, True)
    numbers = [str(number) for number in range(1, len(first) + 1)]
    header_unsure = header == "auto" and not any(map(is_integer, first[:id_fields]))
    return Layout(num_comments, delimiter, numbers, first, False, header_unsure)


def usual_columns(names: list[str]) -> tuple[int, int] | None:
    """The positions of a usual pair of names for the ends of an edge, or None."""
    lowered = [name.strip().lower() for name in names]
    for pair in USUAL_NAMES:
        if set(pair) <= set(lowered):
            return lowered.index(pair[0]), lowered.index(pair[1])
    return None


def _after_comments(lines: Iterator[str]) -> tuple[int, str | None]:
    for number, line in enumerate(lines):
        if line.strip() and line[0] not in "#%":
            return number, line
    return 0, None


def _sniff(line: str, path: Path) -> str:
    unquoted = _QUOTED.sub("", line).rstrip("\r\n")
    found = next((d for d in DELIMITERS if d in unquoted), None)
    if found is None:
        raise UserError(
            f"'{path}': no tab, comma, semicolon or space in '{line.strip()[:80]}'; "
            "a table needs two or more columns; for another delimiter give --delimiter"
        )
    return found


def _is_header(
    first: list[str], second: list[str], named: Iterable[str | None], id_fields: int
) -> bool:
    if any(name in first and not is_integer(name) for name in named if name is not None):
        return True
    if usual_columns(first) is not None or first[0].strip().lower() in ID_NAMES:
        return True
    first_integers, second_integers = (
        [is_integer(field.strip()) for field in row[:id_fields]] for row in (first, second)
    )
    return bool(second_integers) and all(second_integers) and not any(first_integers)
