"""Keys by bucket: in memory as many as may be, the others in one file each."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np


class Buckets:
    """Collects keys by bucket, from several threads, and gives each bucket back once.

    Args:
        folder: where files go, made when the first is needed.
        num_buckets: B.
        memory_bytes: of keys to hold before they go to files.
    """

    def __init__(self, folder: Path, num_buckets: int, memory_bytes: int):
        self.folder, self.memory_bytes = folder, memory_bytes
        self.held: list[list[np.ndarray]] = [[] for _ in range(num_buckets)]
        self.counts = np.zeros(num_buckets, np.int64)
        self.spilled, self.held_bytes = False, 0
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.held)

    def add(self, keys: np.ndarray, start_B: np.ndarray) -> None:
        """Keys uint64 grouped by bucket, bucket b from start_B[b] to start_B[b + 1]."""
        with self.lock:
            for bucket in np.flatnonzero(np.diff(start_B)).tolist():
                self.held[bucket].append(keys[start_B[bucket] : start_B[bucket + 1]])
            self.counts += np.diff(start_B)
            self.held_bytes += keys.nbytes
            if self.held_bytes > self.memory_bytes:
                self._spill()

    def take(self, bucket: int) -> np.ndarray:
        """All keys of a bucket, a copy of one's own; they are gone from here."""
        held, self.held[bucket] = self.held[bucket], []
        written = np.zeros(0, np.uint64)
        path = self._path(bucket)
        if self.spilled and path.exists():
            written = np.fromfile(path, np.uint64)
            path.unlink()
        return np.concatenate([written, *held])

    def _spill(self) -> None:
        """Append all that is held to the files: few and large writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.spilled = True
        for bucket, pieces in enumerate(self.held):
            with self._path(bucket).open("ab") as file:
                for piece in pieces:
                    file.write(piece.view(np.uint8).data)
            pieces.clear()
        self.held_bytes = 0

    def _path(self, bucket: int) -> Path:
        return self.folder / f"{bucket}.keys"
