"""Read Parquet files a few rows at a time, whatever the size of their row groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hvdtma.core.errors import UserError

ROWS_PER_PIECE = 1 << 17
_BUFFER_BYTES = 1 << 20  # per column, instead of a whole row group


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file and read its schema; raises UserError for a file of another format."""
    try:
        return pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def parquet_pieces(
    path: Path, columns: list[str], rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The given columns, at most `rows` rows at a time (None: `ROWS_PER_PIECE`)."""
    try:
        with open_parquet(path) as file:
            yield from file.iter_batches(batch_size=rows or ROWS_PER_PIECE, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"'{path}' cannot be read as Parquet: {error}")
