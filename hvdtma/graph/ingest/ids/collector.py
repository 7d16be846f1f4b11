"""All ids of a graph from columns that go by, each as often as it likes, within a memory limit.

Dense integers become bits; others, and strings, a hash table. Whatever holds them must fit in the
limit: where it does not, the rest is counted only, and the limit that is enough is named.

Legend: N nodes, n ids of a piece.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.ingest.ids.bitmap import BitmapSet
from hvdtma.graph.ingest.ids.estimate import DistinctEstimate
from hvdtma.graph.ingest.ids.sets import IntegerSet, StringSet
from hvdtma.graph.ingest.ids.table import Column, HashTable, IdTable, hashes, pieces_of

# An id from here until the edges are sorted: itself 8 (a string: its offset), its slot 10.7, its
# places in the store's order 9. While ids are collected the table takes more, the order nothing.
ORDER_BYTES = 9
BYTES_PER_ID = 28
_BITMAP_LEAST = 1 << 21
_BITMAP_PER_ID = 512  # bytes per id that went by: few ids far apart are better in a table
_MARGIN = 1.03  # of an estimate


class IdCollector:
    """Takes ids and gives a table of them.

    Args:
        strings: whether they are large_string, not int64.
        memory: to stay within.
        folder: for what does not fit in memory.
    """

    def __init__(self, strings: bool, memory: MemoryBudget, folder: Path):
        self.memory, self.folder = memory, folder
        self.room = memory.available(0, "reading ids")
        self.bitmap: BitmapSet | None = None if strings else BitmapSet()
        self.known: IntegerSet | StringSet = StringSet() if strings else IntegerSet()
        self.estimate: DistinctEstimate | None = None
        self.first: object = None
        self.num_given, self.most_known, self.bytes_per_id = 0, 0, 0.0
        self.smallest, self.largest = np.iinfo(np.int64).max, np.iinfo(np.int64).min

    @property
    def num(self) -> int:
        """Distinct ids so far."""
        return self.known.num if self.bitmap is None else self.bitmap.num

    def add(self, column: Column) -> None:
        """Take ids, int64 or large_string as all of them."""
        for piece in pieces_of(column):
            self.first = piece[0] if self.first is None else self.first
            self.num_given += len(piece)
            if not isinstance(self.known, StringSet):
                values = piece.to_numpy()
                self.smallest = min(self.smallest, int(values.min()))
                self.largest = max(self.largest, int(values.max()))
            if self.estimate is not None:
                self.estimate.add(hashes(piece))
            elif self.bitmap is not None:
                self._add_to_bitmap(piece, self.bitmap)
            else:
                self._add_to_table(piece)

    def add_range(self, num: int) -> None:
        """Take the integers 0 .. num-1."""
        for start in range(0, num, 1 << 18):
            self.add(pa.array(np.arange(start, min(start + (1 << 18), num))))

    def finish(self, later: Callable[[int], int] = lambda num: ORDER_BYTES * num) -> IdTable:
        """The table; raises UserError, naming the limit that is enough, where it does not fit.

        Args:
            later: bytes that so many nodes will take beside the table, at their most.
        """
        if self.estimate is not None:
            num = max(int(self.estimate.count() * _MARGIN), self.most_known)
            needed = self._with_later(num, int(num * self.bytes_per_id), later)
            self.memory.available(needed, f"a graph of about {num:,} nodes")
        needed = self._with_later(self.num, self._needed(), later)
        self.memory.available(needed, f"a graph of {self.num:,} nodes")
        if self.bitmap is not None:
            return self.bitmap.finish()
        ids = self.known.finish(self.folder, self.room - self._needed())
        return HashTable(ids)

    @staticmethod
    def _with_later(num: int, collecting_bytes: int, later: Callable[[int], int]) -> int:
        """Bytes of collecting so many ids, or of their table and what comes later, if more."""
        return max(collecting_bytes, collecting_bytes - ORDER_BYTES * num + later(num))

    def _needed(self) -> int:
        """Bytes that the ids so far will take, at their most."""
        if self.bitmap is not None:
            return self.bitmap.num_bytes * 9 // 8 + self.num * (8 + ORDER_BYTES)
        return BYTES_PER_ID * self.num + self.known.text_bytes * 5 // 4

    def _add_to_bitmap(self, piece: pa.Array, bitmap: BitmapSet) -> None:
        most_bytes = min(_BITMAP_LEAST + _BITMAP_PER_ID * self.num_given, self.room // 8)
        if self.smallest >= 0 and self.largest // 8 < most_bytes:
            bitmap.add(piece.to_numpy())
            return
        self.bitmap = None
        for known in pieces_of(pa.array(bitmap.ids())):
            self._add_to_table(known)
        self._add_to_table(piece)

    def _add_to_table(self, piece: pa.Array) -> None:
        if self.estimate is None:
            self.known.add(piece)
            if self._needed() > self.room:
                self._count_only()
        else:
            self.estimate.add(hashes(piece))

    def _count_only(self) -> None:
        """Give up what is known: the limit is passed, and only how far is left to say."""
        self.estimate = DistinctEstimate()
        for piece in self.known.pieces():
            self.estimate.add(hashes(piece))
        self.most_known = self.known.num
        self.bytes_per_id = BYTES_PER_ID + 1.25 * self.known.text_bytes / self.known.num
        self.known = type(self.known)()
