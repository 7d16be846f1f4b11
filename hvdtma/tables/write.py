"""Write a table as Parquet or CSV, completely or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from hvdtma.core.errors import UserError
from hvdtma.core.files import replacing, reporting_full_disk
from hvdtma.core.places import check_outside

WRITTEN = (".parquet", ".csv")


def check_output(out: Path, *, overwrite: bool, endings: tuple[str, ...] = WRITTEN) -> None:
    """Raise UserError for a file of another ending, for one that exists, and inside a store."""
    if out.suffix not in endings:
        raise UserError(f"'{out}' has the extension '{out.suffix}'; valid: {', '.join(endings)}")
    check_outside(out, "store")
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; give --overwrite to replace it, or another name")


def write_table(out: Path, pieces: Iterable[pa.Table], *, overwrite: bool = False) -> int:
    """Write the pieces of a table, of which there is at least one; return the number of rows.

    Raises UserError as `check_output` does, and for a full disk.
    """
    check_output(out, overwrite=overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    pieces = iter(pieces)
    first = next(pieces)
    make = pq.ParquetWriter if out.suffix == ".parquet" else pcsv.CSVWriter
    rows = first.num_rows
    with (
        reporting_full_disk(out),
        replacing(out) as temporary,
        make(temporary, first.schema) as writer,
    ):
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(piece)
            rows += piece.num_rows
    return rows
