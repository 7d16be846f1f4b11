"""Rows grouped by bucket, in memory up to a limit and then in one file per bucket."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np


class Buckets:
    """Collects rows by bucket; thread-safe. Each bucket can be taken once.

    Args:
        folder: for the files; created with the first file.
        num_buckets: B.
        memory_bytes: the size of rows in memory above which they are written to files.
        dtype: of a row: a key, or a record that has one (`keyed_dtype`).
    """

    def __init__(
        self,
        folder: Path,
        num_buckets: int,
        memory_bytes: int,
        dtype: np.dtype | type = np.uint64,
    ):
        self.folder, self.memory_bytes, self.dtype = folder, memory_bytes, np.dtype(dtype)
        self.in_memory: list[list[np.ndarray]] = [[] for _ in range(num_buckets)]
        self.counts = np.zeros(num_buckets, np.int64)
        self.spilled, self.used_bytes = False, 0
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.in_memory)

    def add(self, rows: np.ndarray, start_B: np.ndarray) -> None:
        """Add rows that are grouped by bucket: bucket b has start_B[b]:start_B[b + 1]."""
        with self.lock:
            for bucket in np.flatnonzero(np.diff(start_B)).tolist():
                self.in_memory[bucket].append(rows[start_B[bucket] : start_B[bucket + 1]])
            self.counts += np.diff(start_B)
            self.used_bytes += rows.nbytes
            if self.used_bytes > self.memory_bytes:
                self._spill()

    def rows(self, bucket: int) -> np.ndarray:
        """All rows of a bucket, as a new array."""
        written = np.zeros(0, self.dtype)
        path = self._path(bucket)
        if self.spilled and path.exists():
            written = np.fromfile(path, self.dtype)
        return np.concatenate([written, *self.in_memory[bucket]])

    def take(self, bucket: int) -> np.ndarray:
        """Remove and return all rows of a bucket, as a new array."""
        rows = self.rows(bucket)
        self.in_memory[bucket] = []
        if self.spilled:
            self._path(bucket).unlink(missing_ok=True)
        return rows

    def _spill(self) -> None:
        """Append all rows in memory to the files, in few and large writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.spilled = True
        for bucket, pieces in enumerate(self.in_memory):
            with self._path(bucket).open("ab") as file:
                for piece in pieces:
                    file.write(piece.view(np.uint8).data)
            pieces.clear()
        self.used_bytes = 0

    def _path(self, bucket: int) -> Path:
        return self.folder / f"{bucket}.keys"


def keyed_dtype(value: np.dtype | type) -> np.dtype:
    """A record of a key and a value beside it, without padding."""
    return np.dtype([("key", np.uint64), ("value", value)])
