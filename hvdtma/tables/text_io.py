"""Open text files, plain or compressed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from hvdtma.core.errors import UserError

_NO_TEXT = {  # how files of other kinds begin
    b"\x1f\x8b": "is compressed by gzip; add .gz to its name",
    b"\x28\xb5\x2f\xfd": "is compressed by Zstandard; add .zst to its name",
    b"BZh91AY&SY": "is compressed by bzip2; decompress it",
    b"\xfd7zXZ": "is compressed by xz; decompress it",
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook; extract it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook; save it as CSV",
    b"PAR1\x15": "is Parquet; give it a name that ends in .parquet",
    b"\xff\xfe": "is UTF-16; convert it to UTF-8",
    b"\xfe\xff": "is UTF-16; convert it to UTF-8",
}


class EmptyFile(UserError):
    """A file has no lines but blank ones and comments."""


@contextmanager
def open_bytes(path: Path) -> Iterator[Any]:
    """Open a file, plain or compressed by gzip or Zstandard."""
    ending = path.suffix.lower()
    if ending == ".zst":
        with pa.input_stream(str(path), compression="zstd") as file:
            yield file
    else:
        with (gzip.open if ending == ".gz" else open)(path, "rb") as file:
            yield file


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, compressed or not; bytes that are not UTF-8 become lone surrogates.

    Raises UserError for a file that cannot be read, and for one that is no text.
    """
    try:
        with open_bytes(path) as file:
            buffered = io.BufferedReader(file)
            head = buffered.peek(16)
            for start, words in _NO_TEXT.items():
                if head.startswith(start):
                    inside = "once decompressed, " if path.suffix.lower() in (".gz", ".zst") else ""
                    raise UserError(f"'{path}' {inside}{words}")
            yield io.TextIOWrapper(
                buffered, encoding="utf-8-sig", errors="surrogateescape", newline=""
            )
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from None
