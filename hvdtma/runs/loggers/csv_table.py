"""A CSV table of all values of a run."""

from __future__ import annotations

import csv
from collections.abc import Mapping

from hvdtma.core.files import replacing
from hvdtma.runs.loggers.logger import LoggedRun

HEADER = ("step", "name", "value")


class CSVTable:
    """Appends to `RUN/log.csv`: a line of `step,name,value` for each value."""

    def start(self, run: LoggedRun) -> None:
        self.path = run.folder / "log.csv"
        rows: list[list[str]] = []
        if run.first_step is not None and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                complete = [row for row in csv.reader(file) if len(row) == len(HEADER)]
            rows = [row for row in complete[1:] if int(row[0]) < run.first_step]
        with (
            replacing(self.path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([HEADER, *rows])

    def log(self, values: Mapping[str, float], step: int) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([step, name, value] for name, value in values.items())

    def finish(self) -> None: ...
