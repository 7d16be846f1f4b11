"""Sets of ids in the order of first appearance: growing hash tables.

Arrays grow by a quarter with `realloc`, which moves large arrays without copying. A growing table
is freed before the larger one is allocated and filled. So an id needs at most 26 bytes while ids
are collected, and a string 1.25 bytes more per byte of its own.

Legend: K ids known, n ids of a piece, S slots.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.graph.ids import kernels
from hvdtma.graph.ids.table import SLOTS_PER_ID, hashes, pieces_of, string_buffers
from hvdtma.storage.node_ids import NodeIds

_LEAST_SLOTS = 1 << 12
_GROWTH = 1.5  # factor, for a table
_IDS_PER_PIECE = 1 << 18


class _Slots:
    """The table of a set."""

    def __init__(self) -> None:
        self.slot_S = np.zeros(_LEAST_SLOTS, np.uint64)

    def larger_size(self, num_ids: int) -> int:
        """The number of slots to grow to for `num_ids` ids; 0 if the table is large enough."""
        needed = int(num_ids * SLOTS_PER_ID) + 1
        return max(needed, int(len(self.slot_S) * _GROWTH)) if needed > len(self.slot_S) else 0

    def renew(self, num_slots: int) -> None:
        """Replace the table with an empty one; the old one is freed first."""
        self.slot_S = np.zeros(0, np.uint64)
        self.slot_S = np.zeros(num_slots, np.uint64)


class IntegerSet:
    """A set of int64 ids."""

    text_bytes = 0

    def __init__(self) -> None:
        self.slots = _Slots()
        self.id_K = np.zeros(_LEAST_SLOTS, np.int64)
        self.num = 0

    def add(self, piece: pa.Array) -> None:
        """Add ids."""
        id_n, max_ids = piece.to_numpy(), self.num + len(piece)
        if max_ids > len(self.id_K):
            self.id_K.resize(max(max_ids, len(self.id_K) * 5 // 4), refcheck=False)
        num_slots = self.slots.larger_size(max_ids)
        if num_slots:
            self.slots.renew(num_slots)
            for start in range(0, self.num, _IDS_PER_PIECE):
                known = self.id_K[start : min(start + _IDS_PER_PIECE, self.num)]
                kernels.fill(self.slots.slot_S, kernels.hash_integers(known), start)
        self.num = kernels.add_integers(self.slots.slot_S, hashes(piece), id_n, self.id_K, self.num)

    def pieces(self) -> Iterator[pa.Array]:
        """The ids so far, as views."""
        yield from pieces_of(pa.array(self.id_K[: self.num]))

    def finish(self, folder: Path, available: int) -> NodeIds:
        """The ids in ascending order; to be called once, at the end."""
        self.slots.renew(0)
        self.id_K.resize(self.num, refcheck=False)
        self.id_K.sort()
        return NodeIds(pa.array(self.id_K))


class StringSet:
    """A set of strings, concatenated as UTF-8."""

    def __init__(self) -> None:
        self.slots = _Slots()
        self.offset_K1 = np.zeros(_LEAST_SLOTS, np.int64)
        self.utf8 = np.zeros(_LEAST_SLOTS, np.uint8)
        self.num = 0

    @property
    def text_bytes(self) -> int:
        """The UTF-8 bytes of all ids."""
        return int(self.offset_K1[self.num])

    def add(self, piece: pa.Array) -> None:
        """Add ids."""
        offset_n1, utf8 = string_buffers(piece)
        self._reserve(len(piece), int(offset_n1[-1] - offset_n1[0]))
        self.num = kernels.add_strings(
            self.slots.slot_S,
            hashes(piece),
            offset_n1,
            utf8,
            self.offset_K1,
            self.utf8,
            self.num,
        )

    def finish(self, folder: Path, available: int) -> NodeIds:
        """The ids in ascending order; to be called once, at the end.

        Args:
            folder: for a sorted copy on disk, if it does not fit in memory.
            available: the memory for the sorted copy.
        """
        self.slots.renew(0)
        utf8_bytes = self.text_bytes
        ids = self._array()
        order_K = pc.sort_indices(ids).to_numpy()
        if utf8_bytes + self.offset_K1.nbytes <= available:
            return NodeIds(ids.take(pa.array(order_K)))
        with (
            tempfile.TemporaryFile(dir=folder) as lengths,
            tempfile.TemporaryFile(dir=folder) as text,
        ):
            for start in range(0, self.num, _IDS_PER_PIECE):
                piece = ids.take(pa.array(order_K[start : start + _IDS_PER_PIECE]))
                offset_n1, utf8 = string_buffers(piece)
                lengths.write(np.diff(offset_n1).data)
                text.write(utf8[offset_n1[0] : offset_n1[-1]].data)
            del ids, order_K
            self.offset_K1, self.utf8 = np.zeros(0, np.int64), np.zeros(0, np.uint8)
            return _read(lengths, text, self.num, utf8_bytes)

    def pieces(self) -> Iterator[pa.Array]:
        """The ids so far, as views."""
        yield from pieces_of(self._array())

    def _reserve(self, num_ids: int, num_bytes: int) -> None:
        max_ids = self.num + num_ids
        if max_ids >= len(self.offset_K1):
            self.offset_K1.resize(max(max_ids + 1, len(self.offset_K1) * 5 // 4), refcheck=False)
        max_bytes = self.text_bytes + num_bytes
        if max_bytes > len(self.utf8):
            self.utf8.resize(max(max_bytes, len(self.utf8) * 5 // 4), refcheck=False)
        num_slots = self.slots.larger_size(max_ids)
        if not num_slots:
            return
        self.slots.renew(num_slots)
        for start in range(0, self.num, _IDS_PER_PIECE):
            known_n1 = self.offset_K1[start : min(start + _IDS_PER_PIECE, self.num) + 1]
            kernels.fill(self.slots.slot_S, kernels.hash_strings(known_n1, self.utf8), start)

    def _array(self) -> pa.Array:
        return pa.LargeStringArray.from_buffers(
            self.num, pa.py_buffer(self.offset_K1), pa.py_buffer(self.utf8)
        )


def _read(lengths: IO[bytes], text: IO[bytes], num: int, utf8_bytes: int) -> NodeIds:
    """Ids from a file of lengths int64 and a file of UTF-8."""
    lengths.seek(0)
    text.seek(0)
    offset_K1 = np.zeros(num + 1, np.int64)
    offset_K1[1:] = np.fromfile(lengths, np.int64, num)
    np.cumsum(offset_K1, out=offset_K1)
    utf8 = np.fromfile(text, np.uint8, utf8_bytes)
    return NodeIds.from_arrays({"offsets": offset_K1, "utf8": utf8})
