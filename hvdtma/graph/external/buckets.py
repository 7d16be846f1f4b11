"""Keys by bucket: in memory as long as they may be, then in one file each."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np


class Buckets:
    """Collects keys by bucket, from several threads, and gives each bucket back once.

    Args:
        folder: where files go, made when the first is needed.
        num_buckets: B.
        memory_bytes: of keys to hold before all of them go to files.
    """

    def __init__(self, folder: Path, num_buckets: int, memory_bytes: int):
        self.folder, self.memory_bytes = folder, memory_bytes
        self.held: list[list[np.ndarray]] = [[] for _ in range(num_buckets)]
        self.counts = np.zeros(num_buckets, np.int64)
        self.spilled = False
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.held)

    def add(self, keys: np.ndarray, start_B: np.ndarray) -> None:
        """Keys uint64 grouped by bucket, bucket b from start_B[b] to start_B[b + 1]."""
        with self.lock:
            for bucket in np.flatnonzero(np.diff(start_B)).tolist():
                piece = keys[start_B[bucket] : start_B[bucket + 1]]
                self.counts[bucket] += len(piece)
                if self.spilled:
                    self._write(bucket, piece)
                else:
                    self.held[bucket].append(piece)
            if not self.spilled and 8 * int(self.counts.sum()) > self.memory_bytes:
                self._spill()

    def take(self, bucket: int) -> np.ndarray:
        """All keys of a bucket, a copy of one's own; they are gone from here."""
        if not self.spilled:
            pieces, self.held[bucket] = self.held[bucket], []
            return np.concatenate([np.zeros(0, np.uint64), *pieces])
        path = self._path(bucket)
        if not path.exists():
            return np.zeros(0, np.uint64)
        keys = np.fromfile(path, np.uint64)
        path.unlink()
        return keys

    def _spill(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.spilled = True
        for bucket, pieces in enumerate(self.held):
            for piece in pieces:
                self._write(bucket, piece)
            pieces.clear()

    def _write(self, bucket: int, piece: np.ndarray) -> None:
        with self._path(bucket).open("ab") as file:
            file.write(piece.view(np.uint8).data)

    def _path(self, bucket: int) -> Path:
        return self.folder / f"{bucket}.keys"
