"""The dialect of a text table: delimiter, quotes, comment lines, header.

The dialect is detected from the first lines, printed, and can be given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.columns import is_integer
from hvdtma.tables.first_lines import FirstLines, first_lines
from hvdtma.tables.header import NUMBER, header_of

WHITESPACE = "whitespace"
WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|",
         WHITESPACE: WHITESPACE}  # fmt: skip
NAMED = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "space"}
CANDIDATES = "\t;,|"  # in the order of preference
HEADERS = ("auto", "yes", "no")
COMMENTS = "#%"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class TextOptions:
    """What the user says of text tables; the rest is detected.

    Attributes:
        delimiter: 1 to 4 characters, or tab | comma | semicolon | space | pipe | whitespace (any
            number of blanks and tabs); None: detected.
        quote: the quote character, or `none`: quotes are part of the text.
        header: whether the first line is a header: auto | yes | no.
        comment: the characters that begin a comment line, `none`, or `auto`: # and %.
        one_column: whether a table may have a single column, whose fields may hold blanks.
    """

    delimiter: str | None = None
    quote: str = '"'
    header: str = "auto"
    comment: str = "auto"
    one_column: bool = False

    def __post_init__(self) -> None:
        if self.header not in HEADERS:
            raise UserError(f"header is '{self.header}'; {nearest(self.header, list(HEADERS))}")
        delimiter = self.delimiter
        if delimiter is not None and delimiter not in WORDS and not 1 <= len(delimiter) <= 4:
            words = ", ".join(WORDS)
            raise UserError(f"delimiter is {delimiter!r}; valid: 1 to 4 characters, or {words}")
        if self.quote != "none" and len(self.quote) != 1:
            raise UserError(f"quote is {self.quote!r}; valid: one character, or none")

    def delimiter_for(self, lines: list[str], path: Path, said: str, id_fields: int) -> str:
        """The delimiter given, or that which the file says, or that of the first lines."""
        if self.delimiter is None:
            if self.one_column and not said and not set(CANDIDATES) & set(_plain(lines[0])):
                return ","  # for no delimiter; an id with a comma is quoted
            return said or _detect(lines, path, id_fields)
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
        num_comments: the number of comment lines before the table.
        said: whether the delimiter was given, by the user or by the file.
        unclear_comment: the line before the table that may be a row.
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
    num_comments: int = 0
    said: bool = False
    unclear_comment: str = ""

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
    """Detect the dialect of a text file; see `header_of` for the header.

    A header with one field less than each row, as R writes it, lacks a name for the first column.

    Raises EmptyFile for a file without lines, and UserError if no delimiter is found, or if the
    first lines may be comments, a header or rows.
    """
    comment = {"auto": COMMENTS, "none": ""}.get(options.comment, options.comment)
    start = first_lines(path, comment)
    lines = [line for _, line in start.rows]
    quote = "" if options.quote == "none" else options.quote
    dialect = Dialect(
        delimiter=options.delimiter_for(lines, path, start.delimiter, id_fields),
        quote=quote,
        comment=comment,
        leading="",
        names=[],
        skip_lines=start.rows[0][0],
        header=[],
        first_row=[],
        num_comments=start.num_before,
        said=options.delimiter is not None or start.delimiter != "",
    )
    first, *others = map(dialect.fields, lines)
    below = [row for row in others if _same(row) != _same(first)]
    dialect = _with_comments(dialect, start, path, options, [first, *below], id_fields)
    lacks_name = bool(below) and all(len(row) == len(first) + 1 and row[-1] for row in below)
    found = options.header
    if found == "auto":
        below_first = [row[lacks_name:] for row in below]
        found = header_of(first, below_first, named, id_fields, lacks_name)
    if found == "either":
        raise UserError(
            f"'{path}': the first line, {', '.join(first)}, may be a header or a row; give "
            "--header yes or --header no"
        )
    if found == "yes":
        if lacks_name:
            _check_row_names(path, [row[0] for row in below], lines[-1], quote)
        names = ["", *first] if lacks_name else first
        return replace(
            dialect,
            names=[field or str(number) for number, field in enumerate(names, 1)],
            skip_lines=start.rows[0][0] + 1,
            header=first,
            first_row=others[0] if others else [],
        )
    numbers = [str(number) for number in range(1, len(first) + 1)]
    return replace(dialect, names=numbers, first_row=first, header_unsure=found == "ask")


def _with_comments(
    dialect: Dialect,
    start: FirstLines,
    path: Path,
    options: TextOptions,
    rows: list[list[str]],
    id_fields: int,
) -> Dialect:
    """The dialect with the characters that begin a comment for sure.

    Raises UserError if several lines before the table may be comments or rows.
    """
    if options.comment not in ("auto", "none"):  # said, so sure
        return replace(dialect, leading="".join(sorted(set(dialect.comment))))
    unclear = start.unclear(dialect.fields, rows, id_fields)
    if len(unclear) > 1:
        raise UserError(
            f"'{path}': {len(unclear):,} lines before the table, such as '{unclear[0][:80]}', may "
            f"be comments or rows; give --comment {unclear[0][0]!r} or --comment none"
        )
    marks = {line.strip()[0] for line in start.before if line.strip() not in unclear}
    leading = "".join(sorted(marks))
    return replace(dialect, leading=leading, unclear_comment="".join(unclear))


def _same(row: list[str]) -> list[str]:
    """A row for comparison with a header in another writing."""
    return [field.lstrip("\ufeff").strip('" \t').lower() for field in row]


def _check_row_names(path: Path, names: list[str], line: str, quote: str) -> None:
    """Raise UserError if the first column, which has no name, may be something else than row names.

    Row names are quoted as R writes them, text, or numbers in order.
    """
    integers = [int(name) for name in names if is_integer(name)]
    in_order = integers == list(range(integers[0], integers[0] + len(integers))) if integers else 0
    if len(integers) < len(names) or in_order or (quote and line.lstrip().startswith(quote)):
        return
    raise UserError(
        f"'{path}': the header has one field less than the rows, but the first column does not "
        "number the rows; write a name for each column in the header, or give --delimiter"
    )


def _plain(line: str) -> str:
    """A line without quoted fields and without the blanks around it."""
    return _QUOTED.sub("q", line).strip(" \r\n")


def _detect(lines: list[str], path: Path, id_fields: int) -> str:
    """The delimiter that every line has as often, or that of the first line.

    Of several: tab, else the one that makes most fields. Whitespace if no other is in the first
    line, or if it makes more fields than tabs and every one of them a number, and tabs do not set
    a header and the rows apart.
    """
    plain = list(map(_plain, lines))
    present = [d for d in CANDIDATES if d in plain[0]]
    constant = [d for d in present if len({line.count(d) for line in plain}) == 1]
    by_name = path.name.lower().removesuffix(".gz").removesuffix(".zst").endswith(".tsv")
    if "\t" in present and ("\t" in constant or by_name):
        found: str | None = "\t"
    else:
        found = max(constant or present[:1], key=plain[0].count, default=None)
    if found in (None, "\t") and len(plain[0].split()) > 1:
        first, *others = [line.split() for line in plain]
        tokens = others or [first]
        cells = [line.strip().split("\t") for line in (plain[1:] or plain)]
        numbers = all(NUMBER.fullmatch(token) for row in tokens for token in row)
        in_ids = all(any(" " in cell.strip() for cell in row[:id_fields]) for row in cells)
        no_header = all(map(NUMBER.fullmatch, first))
        may_be = no_header or in_ids or "\t" not in constant
        if found is None or (
            numbers and may_be and min(map(len, tokens)) > max(len(row) for row in cells)
        ):
            return WHITESPACE
    if found is None:
        raise UserError(
            f"'{path}': no tab, comma, semicolon, pipe or blank in '{lines[0].strip()[:80]}'; "
            "a table needs two or more columns; for another delimiter give --delimiter"
        )
    return found
