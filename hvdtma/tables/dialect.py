"""The dialect of a text table: delimiter, quotes, comment lines, header.

The dialect is detected from the first lines, printed, and can be given.
"""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.columns import ID_NAMES, USUAL_ENDS, is_integer

WHITESPACE = "whitespace"
WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|",
         WHITESPACE: WHITESPACE}  # fmt: skip
NAMED = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "space"}
CANDIDATES = "\t;,|"  # in the order of preference
HEADERS = ("auto", "yes", "no")
COMMENTS = "#%"
SAMPLE_LINES = 200
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


class EmptyFile(UserError):
    """A file has no lines but blank ones and comments."""


@dataclass(frozen=True)
class TextOptions:
    """What the user says of text tables; the rest is detected.

    Attributes:
        delimiter: 1 to 4 characters, or tab | comma | semicolon | space | pipe | whitespace (any
            number of blanks and tabs); None: detected.
        quote: the quote character, or `none`: quotes are part of the text.
        header: whether the first line is a header: auto | yes | no.
        comment: the characters that begin a comment line, `none`, or `auto`: # and %.
    """

    delimiter: str | None = None
    quote: str = '"'
    header: str = "auto"
    comment: str = "auto"

    def __post_init__(self) -> None:
        if self.header not in HEADERS:
            raise UserError(f"header is '{self.header}'; {nearest(self.header, list(HEADERS))}")
        delimiter = self.delimiter
        if delimiter is not None and delimiter not in WORDS and not 1 <= len(delimiter) <= 4:
            words = ", ".join(WORDS)
            raise UserError(f"delimiter is {delimiter!r}; valid: 1 to 4 characters, or {words}")
        if self.quote != "none" and len(self.quote) != 1:
            raise UserError(f"quote is {self.quote!r}; valid: one character, or none")

    def delimiter_for(self, lines: list[str], path: Path) -> str:
        """The delimiter given, or that of the first lines."""
        if self.delimiter is None:
            return _detect(lines, path)
        return WORDS.get(self.delimiter, self.delimiter)


@dataclass(frozen=True)
class Dialect:
    """The dialect of a text table.

    A field in quotes may hold delimiters, and its quotes are written twice. Blanks around a field
    are no part of it, unless it is quoted.

    Attributes:
        delimiter: 1 to 4 characters, or `WHITESPACE`.
        quote: one character, or empty.
        comment: the characters that begin a comment line.
        leading: those of them that begin a line before the table.
        names: the column names; `1`, `2`, ... without a header.
        skip_lines: the number of lines before the first row.
        header: the fields of the header line; empty without one.
        first_row: the fields of the first row of data; empty without data.
        header_unsure: whether the first row of data may be a header of unusual names.
    """

    delimiter: str
    quote: str
    comment: str
    leading: str
    names: list[str]
    skip_lines: int
    header: list[str]
    first_row: list[str]
    header_unsure: bool = False

    def __str__(self) -> str:
        name = NAMED.get(self.delimiter, self.delimiter)
        quotes = f"quotes {self.quote}" if self.quote else "no quotes"
        return f"{name}, {quotes}, {'header' if self.header else 'no header'}"

    @property
    def lacks_first_name(self) -> bool:
        """Whether the header has no name for the first column, as pandas and R number the rows."""
        return bool(self.header) and self.names[0] == "1" != self.header[0]

    @property
    def blanks(self) -> str:
        """The characters that may surround a field."""
        return " " if self.delimiter == "\t" else " \t"

    def pattern(self) -> tuple[str, str, str]:
        """Regular expressions for a quoted field, another one, and the delimiter after either.

        Python and DuckDB understand them.
        """
        quote, blank = re.escape(self.quote), f"[{re.escape(self.blanks)}]*"
        quoted = f"{blank}{quote}(?:[^{quote}]|{quote}{quote})*{quote}{blank}"
        if self.delimiter == WHITESPACE:
            return quoted.replace(blank, ""), "[^ \\t]+", "[ \\t]+"
        end = re.escape(self.delimiter)
        return quoted, f"[^{end}]*" if len(self.delimiter) == 1 else "(?s:.*?)", end

    def fields(self, line: str) -> list[str]:
        """The fields of a line, without quotes and the blanks around them."""
        line, end = line.rstrip("\r\n"), self.delimiter
        if end == WHITESPACE:
            line, end = line.strip(" \t"), " "
        quoted, other, after = self.pattern()
        field = f"({quoted}|{other}){after}" if self.quote else f"({other}){after}"
        return [self._value(found.strip(self.blanks)) for found in re.findall(field, line + end)]

    def _value(self, field: str) -> str:
        if not self.quote or not (len(field) > 1 and field[0] == field[-1] == self.quote):
            return field
        return field[1:-1].replace(self.quote * 2, self.quote)


def find_dialect(
    path: Path, options: TextOptions, named: Iterable[str | None] = (), id_fields: int = 2
) -> Dialect:
    """Detect the dialect of a text file.

    With `header="auto"` the first line is a header if it has a column of `named`, or usual names,
    or if none of its first `id_fields` fields is an integer while all of those of the following
    line are.

    A header with one field less than each row, as R writes it, lacks a name for the first column.

    Raises EmptyFile for a file without lines, and UserError if no delimiter is found.
    """
    comment = {"auto": COMMENTS, "none": ""}.get(options.comment, options.comment)
    with open_text(path) as file:
        numbered = [(number, line) for number, line in enumerate(itertools.islice(file, 10_000))]
    rows = [(n, line) for n, line in numbered if line.strip() and line.lstrip()[0] not in comment]
    if not rows:
        raise EmptyFile(f"'{path}' is empty")
    before = {line.lstrip()[:1] for number, line in numbered if number < rows[0][0]} & set(comment)
    if options.comment not in ("auto", "none"):  # said, so sure
        before = set(comment)
    sample = [line for _, line in rows[:SAMPLE_LINES]]
    quote = "" if options.quote == "none" else options.quote
    delimiter = options.delimiter_for(sample, path)
    dialect = Dialect(delimiter, quote, comment, "".join(sorted(before)), [], rows[0][0], [], [])
    first, *others = map(dialect.fields, sample)
    second = others[0] if others else []
    rows_below = [row for row in others if row != first]
    lacks_name = bool(rows_below) and all(
        len(row) == len(first) + 1 and row[-1] for row in rows_below
    )
    is_header = lacks_name and not any(map(_NUMBER.fullmatch, first))
    is_header |= _is_header(first, second[lacks_name:], named, id_fields)
    if options.header == "yes" or (options.header == "auto" and is_header):
        found = ["", *first] if lacks_name else first
        names = [field or str(number) for number, field in enumerate(found, 1)]
        skip = rows[0][0] + 1
        return replace(dialect, names=names, skip_lines=skip, header=first, first_row=second)
    checked = first[:id_fields] if id_fields > 1 else first
    unsure = options.header == "auto" and not any(map(_NUMBER.fullmatch, checked))
    numbers = [str(number) for number in range(1, len(first) + 1)]
    return replace(dialect, names=numbers, first_row=first, header_unsure=unsure)


@contextmanager
def open_bytes(path: Path) -> Iterator[Any]:
    """Open a file, plain or compressed by gzip or Zstandard."""
    ending = path.suffix.lower()
    if ending == ".zst":
        with pa.input_stream(str(path), compression="zstd") as file:
            yield file
    else:
        with (gzip.open if ending == ".gz" else open)(path, "rb") as file:
            yield file


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, compressed or not; bytes that are not UTF-8 become lone surrogates."""
    try:
        with open_bytes(path) as file:
            yield io.TextIOWrapper(
                io.BufferedReader(file) if path.suffix.lower() == ".zst" else file,
                encoding="utf-8-sig",
                errors="surrogateescape",
                newline="",
            )
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from None


def _detect(lines: list[str], path: Path) -> str:
    """The delimiter that every line has as often, or that of the first line.

    Of several, the one that makes most fields. Whitespace if no other is in the first line, or if
    it makes more fields than tabs and every one of them a number.
    """
    plain = [_QUOTED.sub("q", line).strip() for line in lines]
    present = [d for d in CANDIDATES if d in plain[0]]
    constant = [d for d in present if len({line.count(d) for line in plain}) == 1]
    found = max(constant or present[:1], key=plain[0].count, default=None)
    if found in (None, "\t") and len(plain[0].split()) > 1:
        tokens = [line.split() for line in plain[1:] or plain]
        by_tab = max(line.count("\t") for line in plain) + 1
        numbers = all(_NUMBER.fullmatch(token) for row in tokens for token in row)
        if found is None or (numbers and min(map(len, tokens)) > by_tab):
            return WHITESPACE
    if found is None:
        raise UserError(
            f"'{path}': no tab, comma, semicolon, pipe or blank in '{lines[0].strip()[:80]}'; "
            "a table needs two or more columns; for another delimiter give --delimiter"
        )
    return found


def _is_header(
    first: list[str], second: list[str], named: Iterable[str | None], id_fields: int
) -> bool:
    if any(name in first and not is_integer(name) for name in named if name is not None):
        return True
    lowered = [field.lower() for field in first]
    if any(set(pair) <= set(lowered) for pair in USUAL_ENDS) or lowered[0] in ID_NAMES:
        return True
    if id_fields == 1 and any(
        _NUMBER.fullmatch(below) and not _NUMBER.fullmatch(field)
        for field, below in zip(first[1:], second[1:], strict=False)
    ):
        return True
    first_integers, second_integers = (
        [is_integer(field) for field in row[:id_fields]] for row in (first, second)
    )
    return bool(second_integers) and all(second_integers) and not any(first_integers)
