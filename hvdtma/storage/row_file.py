"""A matrix in a scratch file, written and read by ranges of rows.

Legend: N rows, H values per row.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from pathlib import Path

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.files import reporting_full_disk

READ_BYTES = 8 << 20  # per read, for callers that go through the rows


class RowFile:
    """A matrix [N, H] in an unnamed file, which the system deletes together with this object.

    Not a memory map, whose pages would count as memory of this process. Raises UserError if the
    folder (None: the system's folder for temporary files) cannot be written to, and FullDisk if
    the disk is full.
    """

    def __init__(
        self,
        num_rows: int,
        dim: int,
        folder: Path | None = None,
        dtype: np.dtype | type = np.float32,
    ):
        self.shape, self.dtype = (num_rows, dim), np.dtype(dtype)
        self.row_bytes = dim * self.dtype.itemsize
        self.rows_at_once = max(READ_BYTES // self.row_bytes, 1)
        self.folder = folder or Path(tempfile.gettempdir())
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                self.descriptor = os.dup(file.fileno())
        except OSError as error:
            raise UserError(f"scratch_dir {self.folder} cannot be written to: {error}") from error
        weakref.finalize(self, os.close, self.descriptor)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        out = np.empty((max(stop - start, 0), self.shape[1]), self.dtype)
        view, at = out.view(np.uint8).reshape(-1).data, start * self.row_bytes
        while len(view):
            read = os.preadv(self.descriptor, [view], at)
            if not read:
                raise EOFError(f"rows {start} to {stop} were not written before")
            view, at = view[read:], at + read
        return out

    def __setitem__(self, rows: slice, values: np.ndarray) -> None:
        start, stop, _ = rows.indices(len(self))
        if values.shape != (stop - start, self.shape[1]):
            raise ValueError(f"{values.shape} does not fit rows {start} to {stop}")
        view = np.ascontiguousarray(values, self.dtype).view(np.uint8).reshape(-1).data
        at = start * self.row_bytes
        while len(view):
            written = self._write(view, at)
            view, at = view[written:], at + written

    def _write(self, view: memoryview, at: int) -> int:
        """Write at an offset; return the number of bytes, at least one. Raises FullDisk."""
        size_gb = len(self) * self.row_bytes / 1e9
        hint = (
            f"a scratch file of {size_gb:.1f} GB is written there: free some space, or use another"
        )
        with reporting_full_disk(self.folder / "scratch", hint):
            written = os.pwritev(self.descriptor, [view], at)
            if not written:
                raise OSError(errno.ENOSPC, "no byte could be written")
            return written
