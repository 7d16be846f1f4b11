"""Writing one array of a store piece by piece, in whole chunks, with its checksum.

Legend: R rows.
"""

from __future__ import annotations

import numpy as np
import xxhash
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec

CHUNK_BYTES = 8 << 20  # about one block of features; big enough to read at the disk's rate


class ArrayWriter:
    """An array that grows at its end; chunks are whole rows, about `CHUNK_BYTES` each.

    Args:
        group, name: where it stands.
        dtype: of its values.
        most_rows: R at most; what is not written in the end is cut off.
        row_shape: shape of a row; () for numbers.
    """

    def __init__(
        self,
        group: zarr.Group,
        name: str,
        dtype: np.dtype,
        most_rows: int,
        row_shape: tuple[int, ...] = (),
    ):
        row_bytes = max(int(dtype.itemsize * np.prod(row_shape, dtype=np.int64)), 1)
        chunks = max(-(-most_rows * row_bytes // CHUNK_BYTES), 1)
        self.chunk_rows = max(-(-most_rows // chunks), 1)  # even: the last is not mostly padding
        codecs: list[BytesBytesCodec] = [Crc32cCodec()]
        if dtype.kind in "iu":  # sorted and small numbers shrink; random floats do not
            codecs.insert(0, BloscCodec(cname="lz4", clevel=1, typesize=dtype.itemsize))
        self.array = group.create_array(
            name,
            shape=(most_rows, *row_shape),
            chunks=(self.chunk_rows, *(max(n, 1) for n in row_shape)),
            dtype=dtype,
            compressors=codecs,
            config={"write_empty_chunks": True},  # a chunk that is not there is a lost one
        )
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
            self.array[self.num_written : self.num_written + rows] = values
        self.num_written += rows
        self.rest, self.num_rest = [], 0


def digest(values: np.ndarray) -> str:
    """The checksum a store keeps of an array's values."""
    return xxhash.xxh3_128(np.ascontiguousarray(values).view(np.uint8).data).hexdigest()
