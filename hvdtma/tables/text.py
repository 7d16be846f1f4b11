"""Text tables as SQL: one row per line, so that every row has a line number.

DuckDB reads the lines in parallel; its own CSV parser is used only for quoted fields with line
breaks, since it does not tell quoted fields from others and drops characters where line ends are
mixed. Blanks around unquoted fields are no part of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.tables.database import literal_path, name, text
from hvdtma.tables.dialect import WHITESPACE, Dialect, open_bytes, open_text

# Codes in the column PROBLEM of a row.
PROBLEM, TRIMMED, LINE = "__hvdtma_problem", "__hvdtma_trimmed", "__hvdtma_line"
GOOD, BLANK, COMMENT, HEADER_AGAIN, FIELDS, QUOTES = range(6)
SKIPPED = (BLANK, COMMENT, HEADER_AGAIN)  # no rows of data
REASONS = {
    FIELDS: "the number of fields differs from the lines before",
    QUOTES: "a quote is not closed, or text follows it; if quotes are part of the text, give "
    "--quote none",
}
_NO_DELIMITER = "\x01\x02\x01\x1f"  # lines are read as fields; more than one field is an error
_MAX_LINE_BYTES = 4 << 20
_LIMITS = f"max_line_size={_MAX_LINE_BYTES}, buffer_size={2 * _MAX_LINE_BYTES}"
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class TextFile:
    """A text file, its dialect, and the copy to read if its own line ends are mixed."""

    path: Path
    dialect: Dialect
    copy: Path | None = None

    def lines(self, rejects: str = "") -> str:
        """The lines after the header, as SQL: one column `line`, null for empty lines.

        Args:
            rejects: the name of a table for lines that are not UTF-8; empty: they are an error.
        """
        return (
            f"read_csv([{literal_path(self.copy or self.path)}], auto_detect=false, header=false, "
            f"skip={self.dialect.skip_lines}, delim={text(_NO_DELIMITER)}, quote='', escape='', "
            f"{_LIMITS}, columns={{'line': 'VARCHAR'}}{_rejected(rejects)})"
        )

    def rows(self, columns: list[str], rejects: str = "") -> str:
        """A SELECT of some columns as text, with `PROBLEM`, `TRIMMED` and the `line`."""
        names = self.dialect.names
        fields = [f"f[{names.index(column) + 1}]" for column in columns]
        values = [
            f"{_value(field, self.dialect)} AS {name(column)}"
            for field, column in zip(fields, columns, strict=True)
        ]
        return (
            f"SELECT {', '.join(values)}, {_problem(self.dialect, len(names))} AS {PROBLEM}, "
            f"{_trimmed(fields, self.dialect)} AS {TRIMMED}, line AS {LINE} "
            f"FROM (SELECT line, {_fields(self.dialect)} AS f FROM {self.lines(rejects)})"
        )

    def parsed(self, columns: list[str], rejects: str = "") -> str:
        """As `rows`, through DuckDB's CSV parser: quoted fields may have line breaks.

        Of the fields only the first column, the ids, loses the blanks around it, for this parser
        does not tell which fields are quoted.
        """
        kinds = ", ".join(f"{text(column)}: 'VARCHAR'" for column in self.dialect.names)
        ids, *others = map(name, columns)
        values = [f"trim({ids}, {_blanks(self.dialect)}) AS {ids}", *others]
        quote = text(self.dialect.quote)
        return (
            f"SELECT {', '.join(values)}, {GOOD}::TINYINT AS {PROBLEM}, false AS {TRIMMED}, "
            f"NULL::VARCHAR AS {LINE} FROM read_csv([{literal_path(self.path)}], "
            f"auto_detect=false, header=false, skip={self.dialect.skip_lines}, "
            f"delim={text(self.dialect.delimiter)}, quote={quote}, escape={quote}, "
            f"nullstr={text(_NO_DELIMITER)}, "
            f"{_LIMITS}, columns={{{kinds}}}{_rejected(rejects)})"
        )


def open_text_file(path: Path, dialect: Dialect, folder: Path) -> TextFile:
    """A text file to read; a file whose line ends are mixed is copied with one kind of them."""
    kinds = _line_ends(path)
    if len(kinds) <= 1:
        return TextFile(path, dialect)
    copy = folder / f"{abs(hash(path))}.lines"
    with open_text(path) as source, copy.open("w", encoding="utf-8", newline="",
                                              errors="surrogateescape") as target:  # fmt: skip
        for line in source:
            target.write(line.rstrip("\r\n") + "\n")
    return TextFile(path, dialect, copy)


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
    if dialect.delimiter == WHITESPACE:
        return r"string_split_regex(trim(line, ' ' || chr(9)), '[ \t]+')"
    delimiter = text(dialect.delimiter)
    split = f"string_split(line, {delimiter})"
    if not dialect.quote:
        return split
    quote, end = _regex(dialect.quote), _regex(dialect.delimiter)
    other = f"[^{end}]*" if len(dialect.delimiter) == 1 else "(?s:.*?)"
    blank = " " if dialect.delimiter == "\t" else r"[ \t]"
    field = f"({blank}*{quote}(?:[^{quote}]|{quote}{quote})*{quote}{blank}*|{other}){end}"
    return (
        f"CASE WHEN contains(line, {text(dialect.quote)}) "
        f"THEN regexp_extract_all(line || {delimiter}, {text(field)}, 1) ELSE {split} END"
    )


def _value(field: str, dialect: Dialect) -> str:
    """A field without the blanks around it and without its quotes."""
    trimmed = f"trim({field}, {_blanks(dialect)})"
    if not dialect.quote or dialect.delimiter == WHITESPACE:
        return trimmed
    quote = text(dialect.quote)
    inner = f"replace({trimmed}[2:-2], {quote} || {quote}, {quote})"
    return f"CASE WHEN starts_with({trimmed}, {quote}) THEN {inner} ELSE {trimmed} END"


def _problem(dialect: Dialect, count: int) -> str:
    start = "ltrim(line, ' ' || chr(9))[1]"
    cases = [f"WHEN line IS NULL OR trim(line, ' ' || chr(9) || chr(13)) = '' THEN {BLANK}"]
    if dialect.comment:
        characters = f"contains({text(dialect.comment)}, {start})"
        sure = f"contains({text(dialect.leading)}, {start})" if dialect.leading else "false"
        cases.append(f"WHEN {characters} AND ({sure} OR len(f) <> {count}) THEN {COMMENT}")
    if dialect.quote and dialect.delimiter != WHITESPACE:
        quote, character = _regex(dialect.quote), text(dialect.quote)
        whole = text(f"{quote}([^{quote}]|{quote}{quote})*{quote}")
        trimmed = f"trim(x, {_blanks(dialect)})"
        wrong = f"starts_with({trimmed}, {character}) AND NOT regexp_full_match({trimmed}, {whole})"
        cases.append(
            f"WHEN contains(line, {character}) AND len(list_filter(f, lambda x: {wrong})) > 0 "
            f"THEN {QUOTES}"
        )
    cases.append(f"WHEN len(f) <> {count} THEN {FIELDS}")
    if dialect.header:  # of a joined file, in any writing
        first = text(dialect.names[0].lower())
        fields = [f"lower({_value(f'f[{at}]', dialect)})" for at in range(1, count + 1)]
        fields[0] = f"ltrim({fields[0]}, chr(65279))"  # a byte order mark
        same = " AND ".join(
            f"{field} = {text(column.lower())}"
            for field, column in zip(fields, dialect.names, strict=True)
        )
        cases.append(f"WHEN contains(lower(line), {first}) AND {same} THEN {HEADER_AGAIN}")
    return f"(CASE {' '.join(cases)} ELSE {GOOD} END)::TINYINT"


def _trimmed(fields: list[str], dialect: Dialect) -> str:
    """Whether one of the fields has blanks around it, which do not belong to it."""
    if dialect.delimiter == WHITESPACE:
        return "false"
    differs = " OR ".join(f"{field} <> trim({field}, {_blanks(dialect)})" for field in fields)
    return f"(contains(line, ' ') OR contains(line, chr(9))) AND ({differs})"


def _blanks(dialect: Dialect) -> str:
    return "' '" if dialect.delimiter == "\t" else "' ' || chr(9)"


def _regex(characters: str) -> str:
    return "".join(c if c.isalnum() else f"\\x{{{ord(c):x}}}" for c in characters)
