"""Reading a store by blocks: neighbouring blocks together, several reads at a time, counted.

Legend: n nodes asked for, R rows of an array.
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

WORKERS = 2  # reads at a time: one waits for the disk while another is decoded
Range = tuple[int, int]  # first row, and one past the last
Piece = TypeVar("Piece", bound=tuple[int, ...])  # a range, and what else is known of it
Result = TypeVar("Result")


@dataclass
class BlockReader:
    """Reads ranges of rows of a store's arrays.

    Attributes:
        bytes_read: of values, over all reads.
        read_s: seconds in which at least one read was under way.
    """

    store: GraphStore
    bytes_read: int = 0
    read_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: int = 0
    _since: float = 0.0

    def rows(self, name: str, ranges: list[Range]) -> np.ndarray:
        """The rows of ascending ranges, end to end; each chunk is read once."""
        array = self.store.array(name)
        row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
        out = np.empty((sum(b - a for a, b in ranges), *array.shape[1:]), array.dtype)

        def fill(window: list[PlacedRange]) -> None:
            first, last = window[0], window[-1]
            rows_wanted = sum(stop - start for start, stop, _ in window)
            if last.stop - first.start == rows_wanted:  # nothing between them: no copy
                self.read(name, first.start, last.stop, out[first.at : first.at + rows_wanted])
                return
            values = self.read(name, first.start, last.stop)
            for start, stop, at in window:
                out[at : at + stop - start] = values[start - first.start : stop - first.start]

        every = windows(_placed(ranges), CHUNK_BYTES // max(row_bytes, 1), array.chunks[0])
        for _ in self.each(fill, every):
            pass
        return out

    def each(self, work: Callable[..., Result], pieces: Iterable) -> Iterator[Result]:
        """`work` of every piece, in order, with `WORKERS` threads; the time of it is counted."""
        with self._lock:
            self._under_way += 1
            self._since = self._since if self._under_way > 1 else time.monotonic()
        try:
            yield from map_in_order(work, pieces, WORKERS)
        finally:
            with self._lock:
                self._under_way -= 1
                if not self._under_way:
                    self.read_s += time.monotonic() - self._since

    def read(self, name: str, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows start:stop of an array; raises UserError if a chunk of it is damaged or lost."""
        values = self.store.read(name, start, stop, out)
        with self._lock:
            self.bytes_read += values.nbytes
        return values


class PlacedRange(NamedTuple):
    """A range of rows, and where it goes."""

    start: int
    stop: int
    at: int


def _placed(ranges: list[Range]) -> list[PlacedRange]:
    ends = np.cumsum([0, *(stop - start for start, stop in ranges)]).tolist()
    return [PlacedRange(*piece, at) for piece, at in zip(ranges, ends, strict=False)]


def windows(ranges: Sequence[Piece], most_rows: int, chunk_rows: int) -> Iterator[list[Piece]]:
    """Ranges that one read serves: less than a chunk apart, and no more than `most_rows` in all."""
    window: list[Piece] = []
    for piece in ranges:
        apart = bool(window) and piece[0] - window[-1][1] >= chunk_rows
        if window and (apart or piece[1] - window[0][0] > most_rows):
            yield window
            window = []
        window.append(piece)
    if window:
        yield window
