"""Read and write whole chunks of a store's arrays without intermediate copies.

The format is Zarr's, whose own reader and writer copy a chunk several times. The chunks of a store
are whole rows: little-endian values, compressed by Blosc if they are integers, then a CRC-32C.

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
COMPRESSION_LEVEL = 1  # the fastest of LZ4


def chunk_path(folder: Path, number: int, num_dims: int) -> Path:
    """The file of a chunk, which has the rows from number * R to (number + 1) * R."""
    return folder.joinpath("c", str(number), *["0"] * (num_dims - 1))


def write_chunk(path: Path, rows: np.ndarray, *, compressed: bool) -> int:
    """Write one chunk, from contiguous rows; return its CRC."""
    content: Any = rows.reshape(-1).view(np.uint8)
    if compressed:
        content = blosc.compress(
            content, b"lz4", COMPRESSION_LEVEL, blosc.SHUFFLE, typesize=rows.dtype.itemsize
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        crc = google_crc32c.value(content)
        file.write(crc.to_bytes(CRC_BYTES, "little"))
    return crc


class DamagedChunk(Exception):
    """A chunk is missing, truncated, or fails its checksum."""


class ChunkReader:
    """Reads rows of one array; raises DamagedChunk, naming the file.

    Args:
        crcs: uint32, the CRC that each chunk had when it was written. A chunk of another array, or
            of another store, is noticed by it. None: each chunk is compared with its own CRC only.
    """

    def __init__(self, folder: Path, array: zarr.Array, crcs: np.ndarray | None = None):
        self.crcs = crcs
        self.folder, self.shape, self.dtype = folder, array.shape, array.dtype
        self.chunk_shape = array.chunks
        self.chunk_rows = max(array.chunks[0], 1)
        self.compressed = any(isinstance(codec, BloscCodec) for codec in array.compressors)

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        return self.read(start, stop)

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows start:stop, read into `out` if given (contiguous, of the array's dtype)."""
        if out is None:
            out = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        if not out.size:
            return out
        for number in range(start // self.chunk_rows, -(-stop // self.chunk_rows)):
            first = number * self.chunk_rows
            low, high = max(start, first), min(stop, first + self.chunk_rows)
            rows = out[low - start : high - start]
            if high - low == self.chunk_rows:
                self._read_chunk(number, rows)
            else:
                chunk = np.empty(self.chunk_shape, self.dtype)
                self._read_chunk(number, chunk)
                rows[:] = chunk[low - first : high - first]
        return out

    def _read_chunk(self, number: int, rows: np.ndarray) -> None:
        """Read one chunk into `rows`."""
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
        found = google_crc32c.value(content)
        if found != int.from_bytes(crc.tobytes(), "little"):
            raise DamagedChunk(f"chunk {path} is damaged: its checksum differs")
        if self.crcs is not None and (number >= len(self.crcs) or found != self.crcs[number]):
            raise DamagedChunk(f"chunk {path} is not the one that was written there")
        if self.compressed:
            blosc.decompress(content, values)


def _fill(descriptor: int, views: list[memoryview], path: Path) -> None:
    """Read from the start of a file until all views are full."""
    at = 0
    while views:
        read = os.preadv(descriptor, views, at)
        if not read:
            raise DamagedChunk(f"chunk {path} is truncated")
        at += read
        while views and read >= len(views[0]):
            read -= len(views[0])
            views = views[1:]
        if read:
            views = [views[0][read:], *views[1:]]
