"""Reads ranges of rows from a store: nearby ranges in one read, a few reads at a time.

The reader counts bytes and seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from hvdtma.core.threads import map_in_order
from hvdtma.graph.store import GraphStore
from hvdtma.storage.array_writer import CHUNK_BYTES

WORKERS = 2  # concurrent reads: one waits for the disk while another is decoded
Range = tuple[int, int]  # first row, and one past the last row
Piece = TypeVar("Piece", bound=tuple[int, ...])  # begins with a range; may carry more values
Result = TypeVar("Result")


@dataclass
class BlockReader:
    """Reads ranges of rows of a store's arrays.

    Attributes:
        bytes_read: decoded bytes of all reads.
        read_s: seconds during which at least one read was active.
    """

    store: GraphStore
    bytes_read: int = 0
    read_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _active: int = 0
    _active_since: float = 0.0

    def rows(self, name: str, ranges: list[Range]) -> np.ndarray:
        """The rows of ascending ranges, concatenated; each chunk is read once."""
        array = self.store.array(name)
        row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
        out = np.empty((sum(b - a for a, b in ranges), *array.shape[1:]), array.dtype)

        def fill(window: list[PlacedRange]) -> None:
            first, last = window[0], window[-1]
            num_rows = sum(stop - start for start, stop, _ in window)
            if last.stop - first.start == num_rows:  # no gaps: read in place, without a copy
                self.read(name, first.start, last.stop, out[first.offset : first.offset + num_rows])
                return
            values = self.read(name, first.start, last.stop)
            for start, stop, offset in window:
                out[offset : offset + stop - start] = values[start - first.start :][: stop - start]

        max_rows = CHUNK_BYTES // max(row_bytes, 1)
        for _ in self.map(fill, merge_ranges(_placed(ranges), max_rows, array.chunks[0])):
            pass
        return out

    def map(self, work: Callable[..., Result], pieces: Iterable) -> Iterator[Result]:
        """Call `work` on each piece in `WORKERS` threads; yield the results in order. Timed."""
        with self._lock:
            self._active += 1
            if self._active == 1:
                self._active_since = time.monotonic()
        try:
            yield from map_in_order(work, pieces, WORKERS)
        finally:
            with self._lock:
                self._active -= 1
                if not self._active:
                    self.read_s += time.monotonic() - self._active_since

    def read(self, name: str, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows start:stop of an array. Raises UserError if a chunk is damaged or missing."""
        values = self.store.read(name, start, stop, out)
        with self._lock:
            self.bytes_read += values.nbytes
        return values


class PlacedRange(NamedTuple):
    """A range of rows, and the row of the output that it begins at."""

    start: int
    stop: int
    offset: int


def _placed(ranges: list[Range]) -> list[PlacedRange]:
    offsets = np.cumsum([0, *(stop - start for start, stop in ranges)]).tolist()
    return [PlacedRange(*rows, offset) for rows, offset in zip(ranges, offsets, strict=False)]


def merge_ranges(ranges: Sequence[Piece], max_rows: int, chunk_rows: int) -> Iterator[list[Piece]]:
    """Group ascending ranges into reads: gaps below a chunk, and at most `max_rows` rows each."""
    window: list[Piece] = []
    for piece in ranges:
        far = bool(window) and piece[0] - window[-1][1] >= chunk_rows
        if window and (far or piece[1] - window[0][0] > max_rows):
            yield window
            window = []
        window.append(piece)
    if window:
        yield window
