"""Writing one array of a store piece by piece, in whole chunks, with its checksum.

Legend: R rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xxhash
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec

from hvdtma.core.threads import in_order
from hvdtma.storage.chunks import COMPRESSION_LEVEL, chunk_path, write_chunk

WORKERS = 2  # chunks that are packed and written at a time
CHUNK_BYTES = 8 << 20  # of what is read whole; big enough to read at the disk's rate
EDGE_CHUNK_BYTES = 1 << 20  # of what is read by a block's edges, which begin and end anywhere
INDPTR_CHUNK_BYTES = 1 << 18  # so is this, and it shrinks to a quarter


def codecs_of(dtype: np.dtype) -> list[BytesBytesCodec]:
    """How chunks of a dtype are packed: sorted and small numbers shrink; random floats do not."""
    if dtype.kind not in "iu":
        return [Crc32cCodec()]
    return [
        BloscCodec(cname="lz4", clevel=COMPRESSION_LEVEL, typesize=dtype.itemsize),
        Crc32cCodec(),
    ]


class ArrayWriter:
    """An array that grows at its end; chunks are whole rows.

    Args:
        group, name: where it stands.
        dtype: of its values.
        most_rows: R at most; what is not written in the end is cut off.
        row_shape: shape of a row; () for numbers.
        chunk_bytes: about how large chunks are (None: `CHUNK_BYTES`).
        chunk_rows: or exactly how many rows one has.
    """

    def __init__(
        self,
        group: zarr.Group,
        name: str,
        dtype: np.dtype,
        most_rows: int,
        row_shape: tuple[int, ...] = (),
        chunk_bytes: int | None = None,
        chunk_rows: int | None = None,
    ):
        row_bytes = max(int(dtype.itemsize * np.prod(row_shape, dtype=np.int64)), 1)
        chunks = max(-(-most_rows * row_bytes // (chunk_bytes or CHUNK_BYTES)), 1)
        even_rows = -(-most_rows // chunks)  # the last is not mostly padding
        self.chunk_rows = max(min(chunk_rows or even_rows, most_rows), 1)
        self.array = group.create_array(
            name,
            shape=(most_rows, *row_shape),
            chunks=(self.chunk_rows, *(max(n, 1) for n in row_shape)),
            dtype=dtype,
            compressors=codecs_of(dtype),
        )
        self.folder = Path(group.store_path.store.root, self.array.path)  # type: ignore[attr-defined]
        self.compressed = any(isinstance(codec, BloscCodec) for codec in self.array.compressors)
        self.hash = xxhash.xxh3_128()
        self.rest: list[np.ndarray] = []
        self.num_rest = self.num_written = 0

    @property
    def num_rows(self) -> int:
        """Rows given so far."""
        return self.num_written + self.num_rest

    def append(self, values: np.ndarray) -> None:
        """Add rows."""
        values = np.ascontiguousarray(values, self.array.dtype)
        if not values.size:
            self.num_rest += len(values)  # rows of no values
            return
        self.hash.update(values.view(np.uint8).data)
        whole = (self.num_rest + len(values)) // self.chunk_rows * self.chunk_rows
        if not whole:
            self.rest.append(values.copy())  # what it is a view of may be large
            self.num_rest += len(values)
            return
        cut = whole - self.num_rest
        self._write([*self.rest, values[:cut]], whole)
        self.rest, self.num_rest = [values[cut:].copy()], len(values) - cut

    def close(self) -> str:
        """Write the rest; the checksum of all values."""
        num_rows = self.num_rows
        self._write(self.rest, self.num_rest)
        if num_rows < self.array.shape[0]:
            self.array.resize((num_rows, *self.array.shape[1:]))
        return self.hash.hexdigest()

    def _write(self, pieces: list[np.ndarray], rows: int) -> None:
        if pieces and rows:
            values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            starts = range(0, len(values), self.chunk_rows)
            for _ in in_order(lambda start: self._write_chunk(start, values), starts, WORKERS):
                pass
        self.num_written += rows
        self.rest, self.num_rest = [], 0

    def _write_chunk(self, start: int, values: np.ndarray) -> None:
        rows = values[start : start + self.chunk_rows]
        if len(rows) < self.chunk_rows:  # the last chunk is as large as the others
            padded = np.zeros(self.array.chunks, rows.dtype)
            padded[: len(rows)] = rows
            rows = padded
        number = (self.num_written + start) // self.chunk_rows
        write_chunk(chunk_path(self.folder, number, rows.ndim), rows, compressed=self.compressed)


def digest(values: np.ndarray) -> str:
    """The checksum a store keeps of an array's values."""
    return xxhash.xxh3_128(np.ascontiguousarray(values).view(np.uint8).data).hexdigest()
