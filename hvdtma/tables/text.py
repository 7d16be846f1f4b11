"""Text tables as SQL: one row per line, so that every row has a line number.

DuckDB reads the lines in parallel. Its own CSV parser is not used: it does not tell quoted fields
from others, and drops characters where line ends are mixed. Lines with other line ends, or with
line breaks in quoted fields, are read from a copy.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.core.files import reporting_full_disk
from hvdtma.tables.database import literal_path, name, text
from hvdtma.tables.dialect import WHITESPACE, Dialect
from hvdtma.tables.text_io import open_bytes, open_text

# Codes in the column PROBLEM of a row.
PROBLEM, TRIMMED, LINE = "__hvdtma_problem", "__hvdtma_trimmed", "__hvdtma_line"
MARKED = "__hvdtma_marked"
GOOD, BLANK, COMMENT, HEADER_AGAIN, FIELDS, QUOTES, TAB = range(7)
SKIPPED = (BLANK, COMMENT, HEADER_AGAIN)  # no rows of data
REASONS = {
    FIELDS: "the number of fields differs from the lines before",
    QUOTES: "a quote is not closed, or text follows it; if quotes are part of the text, give "
    "--quote none",
    TAB: "a tab is inside a field; if tabs separate the fields, give --delimiter tab, and if not, "
    "give the --delimiter that does",
}
MAX_LINE_BYTES = 4 << 20
BREAKS = {"\r": "\x02\x1d\x02", "\n": "\x02\x1e\x02"}  # stand for line breaks in quoted fields
_BREAK = r"(\x02\x1d\x02)?\x02\x1e\x02|\x02\x1d\x02"
_NO_DELIMITER = "\x01\x02\x01\x1f"  # lines are read as fields; more than one field is an error
_LIMITS = f"max_line_size={MAX_LINE_BYTES}, buffer_size={2 * MAX_LINE_BYTES}"
_BLOCK_BYTES = 4 << 20
_MARK = 0xFEFF  # the byte order mark


@dataclass(frozen=True)
class TextFile:
    """A text file, its dialect, and the copy to read instead of it.

    Attributes:
        joined: whether lines of the copy are joined where a quoted field goes on.
    """

    path: Path
    dialect: Dialect
    copy: Path | None = None
    joined: bool = False

    def with_plain_lines(self, copy: Path) -> TextFile:
        """The file, or a copy with one kind of line ends if its own are mixed."""
        if len(_line_ends(self.path)) <= 1:
            return self
        with open_text(self.path) as lines:
            return self._copied(lines, copy)

    def with_joined_lines(self, copy: Path) -> TextFile:
        """A copy in which a row whose quoted fields have line breaks is one line."""
        with open_text(self.path) as lines:
            rows = joined_lines(lines, self.dialect)
            return replace(self._copied(rows, copy), joined=True)

    def _copied(self, lines: Iterable[str], copy: Path) -> TextFile:
        with (
            reporting_full_disk(copy),
            copy.open("w", encoding="utf-8", newline="", errors="surrogateescape") as target,
        ):
            target.writelines(line.rstrip("\r\n") + "\n" for line in lines)
        return replace(self, copy=copy)

    def original_lines(self, numbers: list[int]) -> list[int]:
        """The line numbers of the file from those of its copy."""
        if not self.joined or self.copy is None:
            return numbers
        with open_text(self.copy) as lines:
            breaks = [0, *accumulate(len(re.findall(_BREAK, line)) for line in lines)]
        return [number + breaks[number - 1] for number in numbers]

    def line(self, number: int) -> str:
        """A line, counted from 1; bytes that are not UTF-8 as escapes."""
        with open_text(self.path) as lines:
            line = next(islice(lines, number - 1, None), "").rstrip("\r\n")
        return line.encode(errors="surrogateescape").decode(errors="backslashreplace")

    def lines(self, rejects: str = "") -> str:
        """The lines after the header, as SQL: one column `line`, null for empty lines.

        Args:
            rejects: the name of a table for lines that are not UTF-8 or too long; empty: they are
                an error.
        """
        return (
            f"read_csv([{literal_path(self.copy or self.path)}], auto_detect=false, header=false, "
            f"skip={self.dialect.skip_lines}, delim={text(_NO_DELIMITER)}, quote='', escape='', "
            f"{_LIMITS}, columns={{'line': 'VARCHAR'}}{_rejected(rejects)})"
        )

    def rows(self, columns: list[str], rejects: str = "") -> str:
        """A SELECT of some columns as text, with `PROBLEM`, `TRIMMED`, `MARKED` and the `LINE`.

        `MARKED`: whether a byte order mark was before the line, as where files were joined.
        """
        fields = [f"f[{self.dialect.names.index(column) + 1}]" for column in columns]
        values = [
            f"{self._value(field)} AS {name(column)}, "
            for field, column in zip(fields, columns, strict=True)
        ]
        return (
            f"SELECT {''.join(values)}{_problem(self.dialect, fields)} AS {PROBLEM}, "
            f"{_trimmed(fields, self.dialect)} AS {TRIMMED}, marked AS {MARKED}, line AS {LINE} "
            f"FROM (SELECT line, marked, {_fields(self.dialect)} AS f FROM (SELECT "
            f"starts_with(line, chr({_MARK})) IS TRUE AS marked, CASE WHEN marked THEN line[2:] "
            f"ELSE line END AS line FROM {self.lines(rejects)}))"
        )

    def _value(self, field: str) -> str:
        value = _value(field, self.dialect)
        for line_break, token in BREAKS.items() if self.joined else ():
            value = f"replace({value}, {text(token)}, chr({ord(line_break)}))"
        return value


def breaks_in(line: str) -> str:
    """The number of line breaks in a joined line, as SQL."""
    return f"coalesce(len(regexp_extract_all({line}, {text(_BREAK)})), 0)"


def _with_tokens(line: str) -> str:
    for line_break, token in BREAKS.items():
        line = line.replace(line_break, token)
    return line


def with_breaks(line: str) -> str:
    """A joined line with its line breaks."""
    for line_break, token in BREAKS.items():
        line = line.replace(token, line_break)
    return line


def joined_lines(lines: Iterable[str], dialect: Dialect) -> Iterator[str]:
    """The lines of a file, joined where a line break is inside a quoted field.

    A quote that is never closed, or that text follows, joins nothing, and neither do lines that
    are not UTF-8, begin like a comment or would become too long; such lines are bad rows.
    """
    quote, blank = re.escape(dialect.quote), f"[{re.escape(dialect.blanks)}]*"
    quoted, other, end = dialect.pattern()
    inside = f"(?:[^{quote}]|{quote}{quote})*+"
    open_field = f"(?:(?:{quoted}|(?!{blank}{quote}){other}){end})*+{blank}{quote}{inside}$"
    opens = re.compile(rf"[ \t]*{open_field}")
    stays_open = re.compile(f"{inside}(?:$|{quote}{blank}{end}{open_field})")
    closes = re.compile(f"{inside}{quote}{blank}(?:{end}|$)")
    lines = iter(lines)
    ahead: deque[str] = deque()

    def num_joined(size: int) -> int:
        """The number of lines that belong to an open row of `size` characters; 0: it is bad."""
        number = 0
        while True:
            if number == len(ahead):
                ahead.extend(islice(lines, 1))
            if number == len(ahead):
                return 0
            more = ahead[number].rstrip("\r\n")
            number, size = number + 1, size + len(more)
            if size > MAX_LINE_BYTES // 4 or not _is_utf8(more):  # 4 bytes per character
                return 0
            if not stays_open.match(more):
                return number if closes.match(more) else 0

    yield from islice(lines, dialect.skip_lines)
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        may_open = dialect.quote in line and line.lstrip()[0] not in dialect.comment
        if may_open and opens.match(line.rstrip("\r\n")):
            *first, last = line, *(ahead.popleft() for _ in range(num_joined(len(line))))
            line = _with_tokens("".join(first)) + last
        yield line


def _is_utf8(line: str) -> bool:
    return line.isascii() or not any("\ud800" <= character <= "\udfff" for character in line)


def _line_ends(path: Path) -> set[bytes]:
    """The kinds of line ends in a file."""
    feeds = returns = both = 0
    last = b""
    try:
        with open_bytes(path) as file:
            while block := file.read(_BLOCK_BYTES):
                feeds += block.count(b"\n")
                returns += block.count(b"\r")
                both += block.count(b"\r\n") + (last == b"\r" and block[:1] == b"\n")
                last = block[-1:]
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from None
    found = {b"\r\n": both, b"\n": feeds - both, b"\r": returns - both}
    return {kind for kind, count in found.items() if count}


def _rejected(table: str) -> str:
    if not table:
        return ""
    return (
        f", ignore_errors=true, store_rejects=true, rejects_table={text(table)}, "
        f"rejects_scan={text(table + '_scan')}"
    )


def _fields(dialect: Dialect) -> str:
    """The fields of `line` as a list, quotes and blanks included."""
    quoted, other, end = dialect.pattern()
    if dialect.delimiter == WHITESPACE:
        line, after = "trim(line, ' ' || chr(9))", " "
        split = f"string_split_regex({line}, {text(end)})"
    else:
        line, after = "line", dialect.delimiter
        split = f"string_split(line, {text(after)})"
    if not dialect.quote:
        return split
    return (
        f"CASE WHEN contains(line, {text(dialect.quote)}) THEN regexp_extract_all("
        f"{line} || {text(after)}, {text(f'({quoted}|{other}){end}')}, 1) ELSE {split} END"
    )


def _value(field: str, dialect: Dialect) -> str:
    """A field without the blanks around it and without its quotes."""
    trimmed = f"trim({field}, {text(dialect.blanks)})"
    if not dialect.quote:
        return trimmed
    quote = text(dialect.quote)
    inner = f"replace({trimmed}[2:-2], {quote} || {quote}, {quote})"
    return f"CASE WHEN starts_with({trimmed}, {quote}) THEN {inner} ELSE {trimmed} END"


def _problem(dialect: Dialect, fields: list[str]) -> str:
    """The code of a row, as SQL; `fields` are those that are used."""
    start, count = "ltrim(line, ' ' || chr(9))[1]", len(dialect.names)
    cases = [f"WHEN line IS NULL OR trim(line, ' ' || chr(9) || chr(13)) = '' THEN {BLANK}"]
    if dialect.comment:
        characters = f"contains({text(dialect.comment)}, {start})"
        sure = f"contains({text(dialect.leading)}, {start})" if dialect.leading else "false"
        cases.append(f"WHEN {characters} AND ({sure} OR len(f) <> {count}) THEN {COMMENT}")
    if dialect.quote:
        whole, character = text(dialect.pattern()[0]), text(dialect.quote)
        open_ = f"starts_with(trim(x, {text(dialect.blanks)}), {character})"
        wrong = f"{open_} AND NOT regexp_full_match(x, {whole})"
        cases.append(
            f"WHEN contains(line, {character}) AND len(list_filter(f, lambda x: {wrong})) > 0 "
            f"THEN {QUOTES}"
        )
    if dialect.header:  # of a joined file, in any writing
        longest = text(max(dialect.header, key=len).lower())
        found = [f"lower({_value(f'f[{at}]', dialect)})" for at in range(1, count + 1)]
        same = " AND ".join(
            f"{field} = {text(column.lower())}"
            for field, column in zip(found, dialect.header, strict=False)
        )
        again = f"len(f) = {len(dialect.header)} AND contains(lower(line), {longest}) AND {same}"
        cases.append(f"WHEN {again} THEN {HEADER_AGAIN}")
    cases.append(f"WHEN len(f) <> {count} THEN {FIELDS}")
    if not dialect.said and dialect.delimiter not in ("\t", WHITESPACE) and fields:
        inside = " OR ".join(_has_tab(field, dialect) for field in fields)
        cases.append(f"WHEN contains(line, chr(9)) AND ({inside}) THEN {TAB}")
    return f"(CASE {' '.join(cases)} ELSE {GOOD} END)::TINYINT"


def _has_tab(field: str, dialect: Dialect) -> str:
    """Whether a field without quotes has a tab inside."""
    trimmed = f"trim({field}, {text(dialect.blanks)})"
    unquoted = f" AND NOT starts_with({trimmed}, {text(dialect.quote)})" if dialect.quote else ""
    return f"(contains({trimmed}, chr(9)){unquoted})"


def _trimmed(fields: list[str], dialect: Dialect) -> str:
    """Whether one of the fields has blanks around it, which do not belong to it."""
    if dialect.delimiter == WHITESPACE or not fields:
        return "false"
    blanks = text(dialect.blanks)
    differs = " OR ".join(f"{field} <> trim({field}, {blanks})" for field in fields)
    return f"(contains(line, ' ') OR contains(line, chr(9))) AND ({differs})"
