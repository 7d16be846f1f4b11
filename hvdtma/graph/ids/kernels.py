"""The compiled loops of a hash table of ids: open addressing, one uint64 per slot.

    slot = highest 24 bits of the id's hash | 40 bits: the id's position + 1        0 if empty

The bits of the hash only save comparisons: a match is confirmed by comparing the ids themselves.

Legend: K ids known, n ids of a piece, S slots, R registers.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.hashing import mix

POSITION = np.uint64((1 << 40) - 1)
HASH = np.uint64(2**64 - 2**40)
_FNV_START = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_SEED = np.uint64(0x2545F4914F6CDD1D)


@njit(nogil=True)
def hash_integers(id_n: np.ndarray) -> np.ndarray:
    """uint64 [n] of int64 ids."""
    hash_n = np.empty(len(id_n), np.uint64)
    for row in range(len(id_n)):
        hash_n[row] = mix(np.uint64(id_n[row]) ^ _SEED)
    return hash_n


@njit(nogil=True)
def hash_strings(offset_n1: np.ndarray, utf8: np.ndarray) -> np.ndarray:
    """uint64 [n] of strings: FNV-1a (Fowler, Noll, Vo, 1991), then `mix`."""
    hash_n = np.empty(len(offset_n1) - 1, np.uint64)
    for row in range(len(hash_n)):
        state = _FNV_START
        for at in range(offset_n1[row], offset_n1[row + 1]):
            state = (state ^ np.uint64(utf8[at])) * _FNV_PRIME
        hash_n[row] = mix(state)
    return hash_n


@njit(nogil=True)
def _next(slot_S: np.ndarray, at: np.int64) -> np.int64:
    """The next slot, cyclically."""
    return at + np.int64(1) if at + 1 < len(slot_S) else np.int64(0)


@njit(nogil=True)
def fill(slot_S: np.ndarray, hash_n: np.ndarray, first: int) -> None:
    """Insert distinct ids at the positions first, first + 1, ..."""
    size = np.uint64(len(slot_S))
    for row in range(len(hash_n)):
        at = np.int64(hash_n[row] % size)
        while slot_S[at] != 0:
            at = _next(slot_S, at)
        slot_S[at] = (hash_n[row] & HASH) | np.uint64(first + row + 1)


@njit(nogil=True)
def _slot_of_integer(
    slot_S: np.ndarray, hashed: np.uint64, value: int, known_K: np.ndarray
) -> np.int64:
    """The slot of an id, or the empty slot to insert it."""
    at = np.int64(hashed % np.uint64(len(slot_S)))
    while slot_S[at] != 0:
        if slot_S[at] & HASH == hashed & HASH:
            position = np.int64(slot_S[at] & POSITION) - 1
            if known_K[position] == value:
                break
        at = _next(slot_S, at)
    return at


@njit(nogil=True)
def _slot_of_string(
    slot_S: np.ndarray,
    hashed: np.uint64,
    utf8: np.ndarray,
    start: int,
    stop: int,
    known_offset_K1: np.ndarray,
    known_utf8: np.ndarray,
) -> np.int64:
    """The slot of an id, or the empty slot to insert it."""
    at = np.int64(hashed % np.uint64(len(slot_S)))
    while slot_S[at] != 0:
        if slot_S[at] & HASH == hashed & HASH:
            position = np.int64(slot_S[at] & POSITION) - 1
            known = known_offset_K1[position]
            same = known_offset_K1[position + 1] - known == stop - start
            byte = 0
            while same and byte < stop - start:
                same = known_utf8[known + byte] == utf8[start + byte]
                byte += 1
            if same:
                break
        at = _next(slot_S, at)
    return at


@njit(nogil=True)
def add_integers(
    slot_S: np.ndarray, hash_n: np.ndarray, id_n: np.ndarray, known_K: np.ndarray, num_known: int
) -> int:
    """Append new ids to `known_K`, which is large enough; return the number of known ids."""
    for row in range(len(id_n)):
        at = _slot_of_integer(slot_S, hash_n[row], id_n[row], known_K)
        if slot_S[at] == 0:
            known_K[num_known] = id_n[row]
            num_known += 1
            slot_S[at] = (hash_n[row] & HASH) | np.uint64(num_known)
    return num_known


@njit(nogil=True)
def add_strings(
    slot_S: np.ndarray,
    hash_n: np.ndarray,
    offset_n1: np.ndarray,
    utf8: np.ndarray,
    known_offset_K1: np.ndarray,
    known_utf8: np.ndarray,
    num_known: int,
) -> int:
    """Append new strings to buffers that are large enough; return the number of known ids."""
    for row in range(len(hash_n)):
        start, stop = offset_n1[row], offset_n1[row + 1]
        at = _slot_of_string(slot_S, hash_n[row], utf8, start, stop, known_offset_K1, known_utf8)
        if slot_S[at] == 0:
            end = known_offset_K1[num_known]
            for byte in range(stop - start):
                known_utf8[end + byte] = utf8[start + byte]
            num_known += 1
            known_offset_K1[num_known] = end + stop - start
            slot_S[at] = (hash_n[row] & HASH) | np.uint64(num_known)
    return num_known


@njit(nogil=True)
def find_integers(
    slot_S: np.ndarray, hash_n: np.ndarray, id_n: np.ndarray, known_K: np.ndarray
) -> np.ndarray:
    """Positions int64 [n]; -1 for an unknown id."""
    position_n = np.empty(len(id_n), np.int64)
    for row in range(len(id_n)):
        at = _slot_of_integer(slot_S, hash_n[row], id_n[row], known_K)
        position_n[row] = np.int64(slot_S[at] & POSITION) - 1
    return position_n


@njit(nogil=True)
def find_strings(
    slot_S: np.ndarray,
    hash_n: np.ndarray,
    offset_n1: np.ndarray,
    utf8: np.ndarray,
    known_offset_K1: np.ndarray,
    known_utf8: np.ndarray,
) -> np.ndarray:
    """Positions int64 [n]; -1 for an unknown id."""
    position_n = np.empty(len(hash_n), np.int64)
    for row in range(len(hash_n)):
        at = _slot_of_string(
            slot_S,
            hash_n[row],
            utf8,
            offset_n1[row],
            offset_n1[row + 1],
            known_offset_K1,
            known_utf8,
        )
        position_n[row] = np.int64(slot_S[at] & POSITION) - 1
    return position_n
