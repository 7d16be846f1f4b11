"""Keys grouped by bucket, in memory up to a limit and then in one file per bucket."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np


class Buckets:
    """Collects keys by bucket; thread-safe. Each bucket can be taken once.

    Args:
        folder: for the files; created with the first file.
        num_buckets: B.
        memory_bytes: the size of keys in memory above which they are written to files.
    """

    def __init__(self, folder: Path, num_buckets: int, memory_bytes: int):
        self.folder, self.memory_bytes = folder, memory_bytes
        self.in_memory: list[list[np.ndarray]] = [[] for _ in range(num_buckets)]
        self.counts = np.zeros(num_buckets, np.int64)
        self.spilled, self.used_bytes = False, 0
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.in_memory)

    def add(self, keys: np.ndarray, start_B: np.ndarray) -> None:
        """Add keys uint64 that are grouped by bucket: bucket b has start_B[b]:start_B[b + 1]."""
        with self.lock:
            for bucket in np.flatnonzero(np.diff(start_B)).tolist():
                self.in_memory[bucket].append(keys[start_B[bucket] : start_B[bucket + 1]])
            self.counts += np.diff(start_B)
            self.used_bytes += keys.nbytes
            if self.used_bytes > self.memory_bytes:
                self._spill()

    def keys(self, bucket: int) -> np.ndarray:
        """All keys of a bucket, as a new array."""
        written = np.zeros(0, np.uint64)
        path = self._path(bucket)
        if self.spilled and path.exists():
            written = np.fromfile(path, np.uint64)
        return np.concatenate([written, *self.in_memory[bucket]])

    def take(self, bucket: int) -> np.ndarray:
        """Remove and return all keys of a bucket, as a new array."""
        keys = self.keys(bucket)
        self.in_memory[bucket] = []
        if self.spilled:
            self._path(bucket).unlink(missing_ok=True)
        return keys

    def _spill(self) -> None:
        """Append all keys in memory to the files, in few and large writes."""
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
