"""Reading Parquet a few rows at a time, whatever the size of its row groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hvdtma.core.errors import UserError

ROWS_PER_PIECE = 1 << 17
_BUFFER_BYTES = 1 << 20  # read at once of a column, instead of all a row group has of it


def open_parquet(path: Path) -> pq.ParquetFile:
    """The file, of which only the schema was read; raises UserError for what is not one."""
    try:
        return pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def parquet_pieces(
    path: Path, columns: list[str], rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The wanted columns, at most so many rows at a time."""
    try:
        with open_parquet(path) as file:
            yield from file.iter_batches(batch_size=rows or ROWS_PER_PIECE, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"'{path}' cannot be read as Parquet: {error}")
