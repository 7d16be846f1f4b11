"""A hash table from the ids of a graph to node numbers.

It needs 10.7 bytes per id (8 per slot, three quarters of the slots are used) besides the ids.

Legend: N nodes, n ids of a piece, S slots.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from hvdtma.graph.ids import kernels
from hvdtma.storage.node_ids import NodeIds

SLOTS_PER_ID = 4 / 3
_IDS_PER_PIECE = 1 << 18
Column: TypeAlias = pa.Array | pa.ChunkedArray


class IdTable(Protocol):
    """The ids of a graph's nodes in ascending order, with look-up.

    Attributes:
        ids: the ids of the N nodes.
    """

    ids: NodeIds

    def lookup(self, column: Column) -> np.ndarray:
        """Node numbers int64 [n] of ids of the graph's kind; -1 for an unknown id."""
        ...

    @property
    def num_bytes(self) -> int:
        """The memory of ids and table."""
        ...


class HashTable:
    """An `IdTable` of integers or strings; look-up is thread-safe."""

    def __init__(self, ids: NodeIds):
        self.ids = ids
        self.slot_S = np.zeros(int(len(ids) * SLOTS_PER_ID) + 1, np.uint64)
        first = 0
        for piece in pieces_of(ids.values):
            kernels.fill(self.slot_S, hashes(piece), first)
            first += len(piece)

    def lookup(self, column: Column) -> np.ndarray:
        found = [self._find(piece) for piece in pieces_of(column)]
        return np.concatenate([np.zeros(0, np.int64), *found])

    @property
    def num_bytes(self) -> int:
        return self.slot_S.nbytes + self.ids.values.nbytes

    def _find(self, piece: pa.Array) -> np.ndarray:
        known = self.ids.values
        if self.ids.are_strings:
            strings = string_buffers(piece)
            return kernels.find_strings(
                self.slot_S, hashes(piece), *strings, *string_buffers(known)
            )
        values = (piece.to_numpy(), known.to_numpy())
        return kernels.find_integers(self.slot_S, hashes(piece), *values)


def hashes(piece: pa.Array) -> np.ndarray:
    """uint64 [n] of int64 or large_string ids."""
    if pa.types.is_large_string(piece.type):
        return kernels.hash_strings(*string_buffers(piece))
    return kernels.hash_integers(piece.to_numpy())


def string_buffers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Offsets int64 [n+1] and UTF-8 bytes of a large_string array, without a copy."""
    _, offsets, utf8 = array.buffers()
    if not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    offset_n1 = np.frombuffer(offsets, np.int64)[array.offset :][: len(array) + 1]
    return offset_n1, np.frombuffer(utf8 or b"", np.uint8)


def pieces_of(column: Column) -> Iterator[pa.Array]:
    """A column in pieces, so that hashes and positions need little memory."""
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        for start in range(0, len(chunk), _IDS_PER_PIECE):
            yield chunk.slice(start, _IDS_PER_PIECE)
