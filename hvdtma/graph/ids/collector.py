"""Collect the distinct ids of a graph from columns, within a memory limit.

Dense integers are kept in a bitmap, other integers and strings in a hash table. If ids do not fit
in the limit, the rest is only counted, and the error names the limit that is enough.

Legend: N nodes, n ids of a piece.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.ids.bitmap import BitmapSet
from hvdtma.graph.ids.estimate import DistinctEstimate
from hvdtma.graph.ids.sets import IntegerSet, StringSet
from hvdtma.graph.ids.table import Column, HashTable, IdTable, hashes, pieces_of

# Bytes per id until the edges are sorted: 8 for the id (a string's offset), 10.7 for its slot, 9
# for the store's order and its inverse. Before, the table needs more and the order nothing.
ORDER_BYTES = 9
BYTES_PER_ID = 28
_BITMAP_LEAST = 1 << 21
_BITMAP_PER_ID = 512  # bytes per given id: sparse ids are better kept in a table
_MARGIN = 1.03  # for the error of an estimate


class IdCollector:
    """Collects ids and makes a table of them.

    Args:
        strings: whether ids are large_string, not int64.
        memory: the limit.
        folder: for temporary files.
    """

    def __init__(self, strings: bool, memory: MemoryBudget, folder: Path):
        self.memory, self.folder = memory, folder
        self.available = memory.available(0, "reading ids")
        self.bitmap: BitmapSet | None = None if strings else BitmapSet()
        self.known: IntegerSet | StringSet = StringSet() if strings else IntegerSet()
        self.estimate: DistinctEstimate | None = None
        self.first: object = None
        self.num_given, self.least_num, self.bytes_per_id = 0, 0, 0.0
        self.smallest, self.largest = np.iinfo(np.int64).max, np.iinfo(np.int64).min

    @property
    def num(self) -> int:
        """The number of distinct ids so far."""
        return self.known.num if self.bitmap is None else self.bitmap.num

    def add(self, column: Column) -> None:
        """Add ids; all columns must be of one type, int64 or large_string."""
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
        """Add the integers 0 .. num-1."""
        for start in range(0, num, 1 << 18):
            self.add(pa.array(np.arange(start, min(start + (1 << 18), num))))

    def finish(self, later: Callable[[int], int] = lambda num: ORDER_BYTES * num) -> IdTable:
        """The table. Raises UserError, naming the limit that is enough, if it does not fit.

        Args:
            later: returns the peak memory of later stages, besides the table, for N nodes.
        """
        if self.estimate is not None:
            num = max(int(self.estimate.count() * _MARGIN), self.least_num)
            required = self._with_later(num, int(num * self.bytes_per_id), later)
            self.memory.available(required, f"a graph of about {num:,} nodes")
        required = self._with_later(self.num, self._peak_bytes(), later)
        self.memory.available(required, f"a graph of {self.num:,} nodes")
        if self.bitmap is not None:
            return self.bitmap.finish()
        ids = self.known.finish(self.folder, self.available - self._peak_bytes())
        return HashTable(ids)

    @staticmethod
    def _with_later(num: int, collecting_bytes: int, later: Callable[[int], int]) -> int:
        """The peak memory of collecting `num` ids, or of their table and later stages."""
        return max(collecting_bytes, collecting_bytes - ORDER_BYTES * num + later(num))

    def _peak_bytes(self) -> int:
        """The peak memory of the ids so far."""
        if self.bitmap is not None:
            return self.bitmap.num_bytes * 9 // 8 + self.num * (8 + ORDER_BYTES)
        return BYTES_PER_ID * self.num + self.known.text_bytes * 5 // 4

    def _add_to_bitmap(self, piece: pa.Array, bitmap: BitmapSet) -> None:
        max_bytes = min(_BITMAP_LEAST + _BITMAP_PER_ID * self.num_given, self.available // 8)
        if self.smallest >= 0 and self.largest // 8 < max_bytes:
            bitmap.add(piece.to_numpy())
            return
        self.bitmap = None
        for known in pieces_of(pa.array(bitmap.ids())):
            self._add_to_table(known)
        self._add_to_table(piece)

    def _add_to_table(self, piece: pa.Array) -> None:
        if self.estimate is None:
            self.known.add(piece)
            if self._peak_bytes() > self.available:
                self._count_only()
        else:
            self.estimate.add(hashes(piece))

    def _count_only(self) -> None:
        """Free the ids and only estimate their number, for the error: the limit is exceeded."""
        self.estimate = DistinctEstimate()
        for piece in self.known.pieces():
            self.estimate.add(hashes(piece))
        self.least_num = self.known.num
        self.bytes_per_id = BYTES_PER_ID + 1.25 * self.known.text_bytes / self.known.num
        self.known = type(self.known)()
