"""Bad rows: the first one is an error, or all are skipped, shown and counted."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.core.errors import UserError, nearest

CHOICES = ("error", "skip")
SHOWN = 5
_MAX_SHOWN = 80  # characters of a line in a message
_ALL = 1 << 40
_ALL_BAD = ("There is no other row", "All {:,} rows are bad, so correct the file or the options")


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read: its input, its line or row number, the reason, its text."""

    where: str
    number: int
    reason: str
    line: str | None

    def __str__(self) -> str:
        if self.line is None:
            return f"{self.where}: row {self.number} {self.reason}"
        shown = self.line if len(self.line) <= _MAX_SHOWN else self.line[:_MAX_SHOWN] + "..."
        return f"{self.where}, line {self.number}: {self.reason}. The line is: {shown}"


@dataclass
class BadRows:
    """What is done with bad rows.

    Attributes:
        choice: `error` or `skip`.
        file: where to write all skipped rows, as CSV; or None.
    """

    choice: str = "error"
    file: Path | None = None
    rows: list[BadRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise UserError(f"bad_rows is '{self.choice}'; {nearest(self.choice, list(CHOICES))}")
        if self.file is not None and not self.file.absolute().parent.is_dir():
            raise UserError(f"bad_rows_file is '{self.file}', whose folder does not exist")

    @property
    def skip(self) -> bool:
        return self.choice == "skip"

    @property
    def limit(self) -> int:
        """The number of bad rows to look for."""
        if not self.skip:
            return 1
        return SHOWN if self.file is None else _ALL

    def add(self, rows: Iterable[BadRow], number: int, none_good: bool = False) -> None:
        """Take note of bad rows; raises UserError for the first one unless they are skipped.

        Args:
            none_good: whether there are no other rows, so that skipping is no remedy.
        """
        if not self.skip:
            first = next(iter(rows), None)
            if none_good:
                raise UserError(f"{first}. {_ALL_BAD[number > 1].format(number)}")
            others = "1 more row is" if number == 2 else f"{number - 1:,} more rows are"
            more = f" ({others} bad)" if number > 1 else ""
            raise UserError(f"{first}{more}; --bad-rows skip leaves bad rows out")
        shown = 0
        for row in rows:
            if shown < SHOWN:
                console.print(f"skipped: {escape(str(row))}", soft_wrap=True)
                shown += 1
            if self.file is not None:
                self.rows.append(row)
        if number > shown:
            console.print(f"skipped: {number - shown:,} more bad rows", soft_wrap=True)

    def write(self) -> None:
        """Write the skipped rows to `file`."""
        if self.file is None:
            return
        with self.file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["input", "line", "reason", "text"])
            writer.writerows([r.where, r.number, r.reason, r.line or ""] for r in self.rows)
