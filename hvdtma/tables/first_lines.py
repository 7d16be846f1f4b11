"""The first lines of a text table: its first rows, and the comments before them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.tables.columns import is_integer, usual_ends
from hvdtma.tables.text_io import EmptyFile, open_text

SAMPLE_ROWS = 200
_MOST_LINES = 10_000  # from the first row on
_KEPT_COMMENTS = 1_000
_EXCEL = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)


@dataclass(frozen=True)
class FirstLines:
    """The first lines of a text table.

    Attributes:
        rows: numbers, from 0, and texts of the first lines that are neither blank nor like a
            comment; at most `SAMPLE_ROWS`.
        before: the first lines before them that are like a comment.
        num_before: the number of such lines.
        delimiter: the one in a first line `sep=;`, as Excel reads and writes it; else empty.
    """

    rows: list[tuple[int, str]]
    before: list[str]
    num_before: int
    delimiter: str

    def unclear(self, fields: Callable[[str], list[str]], rows: Sequence[list[str]],
                id_fields: int) -> list[str]:  # fmt: skip
        """The lines before the table that may be rows whose first name begins with the mark.

        They have the fields of a row and no blank after the mark. No such line is a row if all
        ids are integers, or if its fields are usual names of columns.
        """
        if all(is_integer(field) for row in rows[1:] for field in row[:id_fields]) and rows[1:]:
            return []
        widths = {len(row) for row in rows[:2]}
        found = []
        for line in self.before:
            values = fields(line.strip())
            named = usual_ends([values[0][1:], *values[1:]]) is not None
            if not _is_comment(line) and len(values) in widths and not named:
                found.append(line.strip())
        return found


def first_lines(path: Path, comment: str) -> FirstLines:
    """Read the first lines.

    Args:
        comment: the characters that begin a comment line.

    Raises EmptyFile for a file without rows.
    """
    rows: list[tuple[int, str]] = []
    before: list[str] = []
    num_before, delimiter = 0, ""
    with open_text(path) as file:
        for number, found in enumerate(file):
            line = found.removeprefix("\ufeff")  # as where files were joined
            start = line.strip()[:1]
            if not start:
                continue
            if start in comment:
                num_before += not rows
                if not rows and len(before) < _KEPT_COMMENTS:
                    before.append(line)
            elif not rows and not delimiter and (said := _EXCEL.fullmatch(line.rstrip("\r\n"))):
                delimiter = said[1].replace("\\t", "\t")
            else:
                rows.append((number, line))
            if len(rows) == SAMPLE_ROWS or (rows and number > rows[0][0] + _MOST_LINES):
                break
    if rows:
        return FirstLines(rows, before, num_before, delimiter)
    if num_before == 0:
        raise EmptyFile(f"'{path}' is empty")
    words = (
        f"'{path}' is empty but for {num_before:,} lines that begin like a comment, such as "
        f"'{before[0].strip()[:80]}'; if they are rows, give --comment none"
    )
    may_be_rows = sum(not _is_comment(line) for line in before) > 1
    raise (UserError if may_be_rows else EmptyFile)(words)


def _is_comment(line: str) -> bool:
    """Whether a blank or another mark follows the mark of a comment."""
    after = line.strip()[1:2]
    return after in ("", " ", "\t", "#", "%")
