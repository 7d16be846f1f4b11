"""A bitmap of integer ids: for dense ids the least memory and the fastest look-up.

One bit for every integer from 0 to the largest id, and for every 512 bits the number of ids before:
an eighth and a 64th of a byte per integer of the range.

Legend: N nodes, W words of 64 bits, n ids of a piece.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hvdtma.core.compiled import njit
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import Column

WORDS_PER_RANK = 8


@njit(nogil=True)
def _set_bits(word_W: np.ndarray, id_n: np.ndarray) -> int:
    """Set the bits of ids; return the number of new bits."""
    new = 0
    for value in id_n:
        bit = np.uint64(1) << np.uint64(value & 63)
        word = value >> 6
        if not word_W[word] & bit:
            word_W[word] |= bit
            new += 1
    return new


@njit(nogil=True)
def _set_ids(word_W: np.ndarray, id_N: np.ndarray) -> None:
    """Fill `id_N` with the ids whose bits are set, ascending."""
    at = 0
    for word in range(len(word_W)):
        bits = word_W[word]
        value = word << 6
        while bits:
            if bits & np.uint64(1):
                id_N[at] = value
                at += 1
            bits >>= np.uint64(1)
            value += 1


@njit(nogil=True)
def _num_bits(word: np.uint64) -> np.int64:
    """The number of set bits (Warren, Hacker's Delight, section 5-1)."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    word = (word & pairs) + ((word >> np.uint64(2)) & pairs)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(nogil=True)
def _find(word_W: np.ndarray, rank: np.ndarray, id_n: np.ndarray) -> np.ndarray:
    position_n = np.full(len(id_n), -1, np.int64)
    for row in range(len(id_n)):
        word = id_n[row] >> 6
        if not 0 <= word < len(word_W):
            continue
        bit = np.uint64(1) << np.uint64(id_n[row] & 63)
        if not word_W[word] & bit:
            continue
        group = word // WORDS_PER_RANK
        before = rank[group]
        for other in range(group * WORDS_PER_RANK, word):
            before += _num_bits(word_W[other])
        position_n[row] = before + _num_bits(word_W[word] & (bit - np.uint64(1)))
    return position_n


class BitmapSet:
    """A set of integers >= 0."""

    def __init__(self) -> None:
        self.word_W = np.zeros(1, np.uint64)
        self.num = 0

    @property
    def num_bytes(self) -> int:
        """The memory of the bitmap."""
        return self.word_W.nbytes

    def add(self, id_n: np.ndarray) -> None:
        """Add int64 ids >= 0."""
        largest_word = int(id_n.max()) >> 6 if len(id_n) else 0
        if largest_word >= len(self.word_W):
            word_W = np.zeros(largest_word + largest_word // 8 + 1, np.uint64)
            word_W[: len(self.word_W)] = self.word_W
            self.word_W = word_W
        self.num += _set_bits(self.word_W, id_n)

    def ids(self) -> np.ndarray:
        """int64 [N], ascending."""
        id_N = np.empty(self.num, np.int64)
        _set_ids(self.word_W, id_N)
        return id_N

    def finish(self) -> BitmapTable:
        """A table of the ids; to be called once, at the end."""
        return BitmapTable(NodeIds(pa.array(self.ids())), self.word_W)


class BitmapTable:
    """Node numbers of integers >= 0: the places of their bits."""

    def __init__(self, ids: NodeIds, word_W: np.ndarray):
        self.ids, self.word_W = ids, word_W
        starts = np.arange(0, len(word_W), WORDS_PER_RANK)
        counts = np.add.reduceat(np.bitwise_count(word_W), starts, dtype=np.int64)
        self.rank = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])

    def lookup(self, column: Column) -> np.ndarray:
        """Node numbers int64 [n]; -1 for an unknown id."""
        return _find(self.word_W, self.rank, np.asarray(column))

    @property
    def num_bytes(self) -> int:
        """The memory of ids and bitmap."""
        return self.word_W.nbytes + self.rank.nbytes + self.ids.values.nbytes
