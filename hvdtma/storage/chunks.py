"""Whole chunks of a store's arrays, written from and read straight into the memory they are in.

Zarr keeps the format; its own reading and writing copy a chunk several times. Every array of a
store is in chunks of whole rows: little-endian values, packed by Blosc if they are integers, and a
CRC-32C at the end.

Legend: R rows of a chunk.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec

CRC_BYTES = 4
COMPRESSION_LEVEL = 1  # LZ4's quickest


def chunk_path(folder: Path, number: int, num_dims: int) -> Path:
    """The file of an array's chunk: of the rows number * R .. (number + 1) * R."""
    return folder.joinpath("c", str(number), *["0"] * (num_dims - 1))


def write_chunk(path: Path, rows: np.ndarray, *, compressed: bool) -> None:
    """Write one chunk, whole and contiguous."""
    content: Any = rows.reshape(-1).view(np.uint8)
    if compressed:
        content = blosc.compress(
            content, b"lz4", COMPRESSION_LEVEL, blosc.SHUFFLE, typesize=rows.dtype.itemsize
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.write(google_crc32c.value(content).to_bytes(CRC_BYTES, "little"))


class DamagedChunk(Exception):
    """A chunk that is lost, cut short, or not what was written."""


class ChunkReader:
    """Reads rows of one array; raises DamagedChunk, which names the file."""

    def __init__(self, folder: Path, array: zarr.Array):
        self.folder, self.shape, self.dtype = folder, array.shape, array.dtype
        self.chunk_shape = array.chunks
        self.chunk_rows = max(array.chunks[0], 1)
        self.compressed = any(isinstance(codec, BloscCodec) for codec in array.compressors)

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        return self.read(start, stop)

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows start:stop, into `out` if it is given (contiguous, of the array's dtype)."""
        if out is None:
            out = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        if not out.size:
            return out
        for number in range(start // self.chunk_rows, -(-stop // self.chunk_rows)):
            first = number * self.chunk_rows
            low, high = max(start, first), min(stop, first + self.chunk_rows)
            wanted = out[low - start : high - start]
            if high - low == self.chunk_rows:
                self._into(number, wanted)
            else:
                chunk = np.empty(self.chunk_shape, self.dtype)
                self._into(number, chunk)
                wanted[:] = chunk[low - first : high - first]
        return out

    def _into(self, number: int, rows: np.ndarray) -> None:
        """One chunk, whole."""
        path = chunk_path(self.folder, number, len(self.shape))
        values = rows.reshape(-1).view(np.uint8)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise DamagedChunk(f"chunk {path} is missing") from None
        try:
            if self.compressed:
                stored = np.empty(os.fstat(descriptor).st_size, np.uint8)
                _fill(descriptor, [stored.data], path)
                content, crc = stored[:-CRC_BYTES], stored[-CRC_BYTES:]
            else:
                content, crc = values, np.empty(CRC_BYTES, np.uint8)
                _fill(descriptor, [content.data, crc.data], path)
        finally:
            os.close(descriptor)
        if google_crc32c.value(content) != int.from_bytes(crc.tobytes(), "little"):
            raise DamagedChunk(f"chunk {path} is not what was written: its checksum differs")
        if self.compressed:
            blosc.decompress(content, values)


def _fill(descriptor: int, views: list[memoryview], path: Path) -> None:
    """Read until all views are full, and no further."""
    at = 0
    while views:
        read = os.preadv(descriptor, views, at)
        if not read:
            raise DamagedChunk(f"chunk {path} is cut short")
        at += read
        while views and read >= len(views[0]):
            read -= len(views[0])
            views = views[1:]
        if read:
            views = [views[0][read:], *views[1:]]
