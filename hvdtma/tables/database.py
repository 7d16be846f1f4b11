"""DuckDB within a memory limit: it reads the user's tables, and joins and sorts ids.

Data that does not fit goes to a temporary folder. Errors of DuckDB become `UserError`.
"""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import psutil
import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.core.files import REMOVED, FullDisk
from hvdtma.core.partial import partial_path, remove_abandoned_named
from hvdtma.core.threads import num_workers

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
            "UBIGINT", "HUGEINT")  # fmt: skip
ROWS_PER_BATCH = 1 << 17
DATABASE_BYTES = 160 << 20  # the least memory for a database
LEAST_BYTES = 128 << 20  # of DuckDB's limit
OVERSHOOT = 5 / 4  # DuckDB takes up to a quarter more than its limit; measured
_FULL = ("No space left", "could not write", "Failed to write")


class Database:
    """A DuckDB database in temporary files.

    Args:
        memory_bytes: the memory that it may take. DuckDB's own limit is softer, so it gets
            `1 / OVERSHOOT` of this, and at least `LEAST_BYTES`.
        folder: the folder for temporary files; a subfolder is made, and removed by `close`.
    """

    def __init__(self, memory_bytes: int, folder: Path):
        remove_abandoned_named(folder, "hvdtma-tables-*")
        self.folder = partial_path(folder / f"hvdtma-tables-{uuid4().hex[:12]}", os.getpid())
        self.folder.mkdir(parents=True)
        self.connection = duckdb.connect(
            str(self.folder / "tables.duckdb"),
            config={
                "memory_limit": _limit(memory_bytes),
                "temp_directory": str(self.folder / "spill"),
                "threads": num_workers(),
                "autoinstall_known_extensions": False,
                "TimeZone": "UTC",  # else text of times would be in the zone of this machine
            },
        )
        self._count = 0

    def limit_memory(self, memory_bytes: int) -> None:
        """Change the memory that the database may take."""
        self.run(f"SET memory_limit = '{_limit(memory_bytes)}'")

    def run(self, sql: str, frames: Mapping[str, Any] | None = None) -> list[tuple]:
        """Run a statement; return its rows.

        Args:
            frames: Arrow tables or readers by the name under which the statement finds them.
        """
        with _user_errors(self.folder):
            for view, frame in (frames or {}).items():
                self.connection.register(view, frame)
            try:
                return self.connection.execute(sql).fetchall()
            finally:
                for view in frames or {}:
                    self.connection.unregister(view)

    def store(self, frame: Any, stem: str) -> str:
        """Store an Arrow table or reader as a table; return its name."""
        table = self.new_name(stem)
        self.run(f"CREATE TABLE {table} AS SELECT * FROM given", {"given": frame})
        return table

    def value(self, sql: str) -> Any:
        """The single value of a statement."""
        return self.run(sql)[0][0]

    def batches(self, sql: str, rows: int = ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
        """The rows of a statement, at most `rows` at a time, in order."""
        with _user_errors(self.folder), self.connection.cursor() as cursor:
            yield from cursor.sql(sql).to_arrow_reader(rows)

    def columns(self, sql: str, frames: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Names and DuckDB types of the columns of a SELECT, which is not run."""
        return {name: kind for name, kind, *_ in self.run(f"DESCRIBE {sql}", frames)}

    def new_name(self, stem: str) -> str:
        """A name for a table that no other table has."""
        self._count += 1
        return f"{stem}_{self._count}"

    def close(self) -> None:
        """Close the database and remove its files."""
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _limit(memory_bytes: int) -> str:
    return f"{max(int(memory_bytes / OVERSHOOT), LEAST_BYTES) >> 10}KiB"


@contextmanager
def temporary_database(memory_bytes: int | None = None) -> Iterator[Database]:
    """A database in the system's folder for temporary files; None: half of the free memory."""
    if memory_bytes is None:
        memory_bytes = psutil.virtual_memory().available // 2
    db = Database(memory_bytes, Path(tempfile.gettempdir()))
    try:
        yield db
    finally:
        db.close()


@contextmanager
def _user_errors(folder: Path) -> Iterator[None]:
    """Raise errors of DuckDB as UserError; `folder` is on the disk that may be full."""
    try:
        yield
    except duckdb.Error as error:
        message = str(error)
        if any(word in message for word in _FULL):
            raise FullDisk.of(folder, REMOVED) from error
        raise UserError(message.split("\n\n", 1)[0].strip()) from error


def text(value: str | Path) -> str:
    """A string as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def literal_path(path: Path) -> str:
    """A path as an SQL literal, for functions that take globs."""
    return text(glob.escape(str(path)))


def name(value: str) -> str:
    """A column or table name as an SQL identifier."""
    return '"' + value.replace('"', '""') + '"'
