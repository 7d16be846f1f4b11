"""Distinct ids in the order in which they first came: hash tables that grow.

Arrays grow by a quarter with `realloc`, which moves large ones without copying them; a table that
grows is made anew, and the old one is given up first. So an id takes 26 bytes at most while ids are
collected, and a string 1.25 bytes more for each of its own.

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

from hvdtma.graph.ingest.ids import kernels
from hvdtma.graph.ingest.ids.table import SLOTS_PER_ID, hashes, pieces_of, string_buffers
from hvdtma.storage.node_ids import NodeIds

_LEAST_SLOTS = 1 << 12
_GROWTH = 1.5  # of a table
_IDS_PER_PIECE = 1 << 18


class _Slots:
    """The table of a set, large enough at any time for what comes next."""

    def __init__(self) -> None:
        self.slot_S = np.zeros(_LEAST_SLOTS, np.uint64)

    def wanted(self, num_ids: int) -> int:
        """How many slots so many ids need, or 0 if there are enough."""
        needed = int(num_ids * SLOTS_PER_ID) + 1
        return max(needed, int(len(self.slot_S) * _GROWTH)) if needed > len(self.slot_S) else 0

    def renew(self, num_slots: int) -> None:
        """An empty table; the old one is gone before the new one is made."""
        self.slot_S = np.zeros(0, np.uint64)
        self.slot_S = np.zeros(num_slots, np.uint64)


class IntegerSet:
    """Distinct int64 ids."""

    text_bytes = 0

    def __init__(self) -> None:
        self.slots = _Slots()
        self.id_K = np.zeros(_LEAST_SLOTS, np.int64)
        self.num = 0

    def add(self, piece: pa.Array) -> None:
        """Take ids."""
        id_n, most = piece.to_numpy(), self.num + len(piece)
        if most > len(self.id_K):
            self.id_K.resize(max(most, len(self.id_K) * 5 // 4), refcheck=False)
        num_slots = self.slots.wanted(most)
        if num_slots:
            self.slots.renew(num_slots)
            for start in range(0, self.num, _IDS_PER_PIECE):
                known = self.id_K[start : min(start + _IDS_PER_PIECE, self.num)]
                kernels.fill(self.slots.slot_S, kernels.hash_integers(known), start)
        self.num = kernels.add_integers(self.slots.slot_S, hashes(piece), id_n, self.id_K, self.num)

    def pieces(self) -> Iterator[pa.Array]:
        """What is known, while nothing is added."""
        yield from pieces_of(pa.array(self.id_K[: self.num]))

    def finish(self, folder: Path, room: int) -> NodeIds:
        """The ids, ascending; nothing may be added any more."""
        self.slots.renew(0)
        self.id_K.resize(self.num, refcheck=False)
        self.id_K.sort()
        return NodeIds(pa.array(self.id_K))


class StringSet:
    """Distinct strings, one after the other as UTF-8."""

    def __init__(self) -> None:
        self.slots = _Slots()
        self.offset_K1 = np.zeros(_LEAST_SLOTS, np.int64)
        self.utf8 = np.zeros(_LEAST_SLOTS, np.uint8)
        self.num = 0

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of all."""
        return int(self.offset_K1[self.num])

    def add(self, piece: pa.Array) -> None:
        """Take ids."""
        offset_n1, utf8 = string_buffers(piece)
        self._make_room(len(piece), int(offset_n1[-1] - offset_n1[0]))
        self.num = kernels.add_strings(
            self.slots.slot_S,
            hashes(piece),
            offset_n1,
            utf8,
            self.offset_K1,
            self.utf8,
            self.num,
        )

    def finish(self, folder: Path, room: int) -> NodeIds:
        """The ids, ascending; nothing may be added any more.

        Args:
            folder: for a copy in order where memory holds no second one.
            room: bytes of memory for that copy.
        """
        self.slots.renew(0)
        utf8_bytes = self.text_bytes
        ids = self._array()
        order_K = pc.sort_indices(ids).to_numpy()
        if utf8_bytes + self.offset_K1.nbytes <= room:
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
        """What is known, while nothing is added."""
        yield from pieces_of(self._array())

    def _make_room(self, num_ids: int, num_bytes: int) -> None:
        most = self.num + num_ids
        if most >= len(self.offset_K1):
            self.offset_K1.resize(max(most + 1, len(self.offset_K1) * 5 // 4), refcheck=False)
        most_bytes = self.text_bytes + num_bytes
        if most_bytes > len(self.utf8):
            self.utf8.resize(max(most_bytes, len(self.utf8) * 5 // 4), refcheck=False)
        num_slots = self.slots.wanted(most)
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
    """Ids from a file of their lengths int64 and one of their UTF-8."""
    lengths.seek(0)
    text.seek(0)
    offset_K1 = np.zeros(num + 1, np.int64)
    offset_K1[1:] = np.fromfile(lengths, np.int64, num)
    np.cumsum(offset_K1, out=offset_K1)
    utf8 = np.fromfile(text, np.uint8, utf8_bytes)
    return NodeIds.from_arrays({"offsets": offset_K1, "utf8": utf8})
