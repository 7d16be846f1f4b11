"""Append rows to one array of a store, in whole chunks and with a checksum.

Legend: R rows.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec

from hvdtma.core.digests import digest_of
from hvdtma.core.threads import map_in_order
from hvdtma.storage.chunks import COMPRESSION_LEVEL, chunk_path, write_chunk

CRC = np.dtype("<u4")
WORKERS = 2  # threads that compress and write chunks
CHUNK_BYTES = 8 << 20  # for arrays that are read in whole chunks; large enough for the disk's rate
EDGE_CHUNK_BYTES = 1 << 20  # for edges: a block's edges begin and end anywhere in a chunk
INDPTR_CHUNK_BYTES = 1 << 18  # for indptr, which is read like edges and compresses to a quarter


class ArrayDigests(NamedTuple):
    """What a store keeps of each array, to notice damage.

    Attributes:
        values: digest of all values (XXH3, 128 bits).
        chunks: the CRC-32C of each chunk, uint32, in base64.
        metadata: digest of the array's zarr.json.
    """

    values: str
    chunks: str
    metadata: str


def chunk_crcs(text: str) -> np.ndarray:
    """The CRCs of `ArrayDigests.chunks`, uint32."""
    return np.frombuffer(b64decode(text), CRC)


def codecs_of(dtype: np.dtype) -> list[BytesBytesCodec]:
    """The codecs of a dtype: integers are compressed, floats are not, for they hardly shrink."""
    if dtype.kind not in "iu":
        return [Crc32cCodec()]
    return [
        BloscCodec(cname="lz4", clevel=COMPRESSION_LEVEL, typesize=dtype.itemsize),
        Crc32cCodec(),
    ]


class ArrayWriter:
    """Creates an array and appends rows to it; chunks are whole rows.

    Args:
        group, name: the array's place in the store.
        dtype: of the values.
        max_rows: R at most; the array is cut to the rows that were appended.
        row_shape: the shape of a row; () for numbers.
        chunk_bytes: the approximate size of a chunk (None: `CHUNK_BYTES`).
        chunk_rows: the exact number of rows of a chunk, instead.
    """

    def __init__(
        self,
        group: zarr.Group,
        name: str,
        dtype: np.dtype,
        max_rows: int,
        row_shape: tuple[int, ...] = (),
        chunk_bytes: int | None = None,
        chunk_rows: int | None = None,
    ):
        row_bytes = max(int(dtype.itemsize * np.prod(row_shape, dtype=np.int64)), 1)
        chunks = max(-(-max_rows * row_bytes // (chunk_bytes or CHUNK_BYTES)), 1)
        even_rows = -(-max_rows // chunks)  # so that the last chunk is not mostly padding
        self.chunk_rows = max(min(chunk_rows or even_rows, max_rows), 1)
        self.array = group.create_array(
            name,
            shape=(max_rows, *row_shape),
            chunks=(self.chunk_rows, *(max(n, 1) for n in row_shape)),
            dtype=dtype,
            compressors=codecs_of(dtype),
        )
        self.folder = Path(group.store_path.store.root, self.array.path)  # type: ignore[attr-defined]
        self.compressed = any(isinstance(codec, BloscCodec) for codec in self.array.compressors)
        self.hash = xxhash.xxh3_128()
        self.crc_of: dict[int, int] = {}
        self.buffered: list[np.ndarray] = []
        self.num_buffered = self.num_written = 0

    @property
    def num_rows(self) -> int:
        """The number of rows appended so far."""
        return self.num_written + self.num_buffered

    def append(self, values: np.ndarray) -> None:
        """Append rows."""
        values = np.ascontiguousarray(values, self.array.dtype)
        if not values.size:
            self.num_buffered += len(values)  # rows without values
            return
        self.hash.update(values.view(np.uint8).data)
        whole = (self.num_buffered + len(values)) // self.chunk_rows * self.chunk_rows
        if not whole:
            self.buffered.append(values.copy())  # a view would keep a larger array in memory
            self.num_buffered += len(values)
            return
        cut = whole - self.num_buffered
        self._write([*self.buffered, values[:cut]], whole)
        self.buffered, self.num_buffered = [values[cut:].copy()], len(values) - cut

    def close(self) -> ArrayDigests:
        """Write the buffered rows; return the digests of the array."""
        num_rows = self.num_rows
        self._write(self.buffered, self.num_buffered)
        if num_rows < self.array.shape[0]:
            self.array.resize((num_rows, *self.array.shape[1:]))
        crcs = np.array([self.crc_of[number] for number in sorted(self.crc_of)], CRC)
        metadata = digest_of((self.folder / "zarr.json").read_bytes())
        return ArrayDigests(self.hash.hexdigest(), b64encode(crcs.tobytes()).decode(), metadata)

    def _write(self, pieces: list[np.ndarray], rows: int) -> None:
        if pieces and rows:
            values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            starts = range(0, len(values), self.chunk_rows)
            for _ in map_in_order(lambda start: self._write_chunk(start, values), starts, WORKERS):
                pass
        self.num_written += rows
        self.buffered, self.num_buffered = [], 0

    def _write_chunk(self, start: int, values: np.ndarray) -> None:
        rows = values[start : start + self.chunk_rows]
        if len(rows) < self.chunk_rows:  # Zarr stores the last chunk in full size
            padded = np.zeros(self.array.chunks, rows.dtype)
            padded[: len(rows)] = rows
            rows = padded
        number = (self.num_written + start) // self.chunk_rows
        path = chunk_path(self.folder, number, rows.ndim)
        self.crc_of[number] = write_chunk(path, rows, compressed=self.compressed)


def digest(values: np.ndarray) -> str:
    """The checksum that a store keeps of an array's values (XXH3, 128 bits)."""
    return digest_of(np.ascontiguousarray(values).view(np.uint8).data)
