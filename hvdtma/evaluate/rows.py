"""Matrices by node that need not be in memory: a store's, or one in a scratch file.

Legend: N rows, H values a row.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

import numpy as np

from hvdtma.errors import UserError
from hvdtma.graph.store import GraphStore

READ_BYTES = 8 << 20  # at once, when rows are gathered


class StoredRows:
    """An array [N, ...] of a store, read by ranges of rows."""

    def __init__(self, store: GraphStore, name: str):
        self.store, self.name = store, name
        array = store.array(name)
        self.shape, self.dtype = array.shape, array.dtype
        self.rows_at_once = array.chunks[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        return self.store.read(self.name, start, stop)


class RowFile:
    """float32 [N, H] in a file without a name, which is gone when nobody holds it.

    It is no memory map, whose pages would count as the process's own. Raises UserError if the
    folder cannot be written to.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, num_rows: int, dim: int, folder: Path | None = None):
        self.shape = (num_rows, dim)
        self.row_bytes = dim * self.dtype.itemsize
        self.rows_at_once = max(READ_BYTES // self.row_bytes, 1)
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                self.descriptor = os.dup(file.fileno())
        except OSError as error:
            where = folder or tempfile.gettempdir()
            raise UserError(f"scratch_dir {where} cannot be written to: {error}") from error
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
                raise EOFError(f"row {start} to {stop} were never written")
            view, at = view[read:], at + read
        return out

    def __setitem__(self, rows: slice, values: np.ndarray) -> None:
        start, stop, _ = rows.indices(len(self))
        if values.shape != (stop - start, self.shape[1]):
            raise ValueError(f"{values.shape} does not fit rows {start} to {stop}")
        view = np.ascontiguousarray(values, self.dtype).view(np.uint8).reshape(-1).data
        at = start * self.row_bytes
        while len(view):
            written = os.pwritev(self.descriptor, [view], at)
            view, at = view[written:], at + written


Rows = np.ndarray | RowFile | StoredRows


def gather(rows: Rows, nodes: np.ndarray) -> np.ndarray:
    """Rows of scattered nodes, in their order; what is on disk is read once, from low to high."""
    if isinstance(rows, np.ndarray):
        return rows[nodes]
    out = np.empty((len(nodes), *rows.shape[1:]), rows.dtype)
    order = np.argsort(nodes, kind="stable")
    ascending, step, done = nodes[order], rows.rows_at_once, 0
    while done < len(order):
        start = int(ascending[done]) // step * step
        upto = int(np.searchsorted(ascending, start + step))
        piece = rows[start : start + step]
        out[order[done:upto]] = piece[ascending[done:upto] - start]
        done = upto
    return out
