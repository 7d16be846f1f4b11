"""An edge as one uint64, so that sorting edges is sorting numbers; the compiled loops on them.

    key = destination within its bucket | source | type        from the highest bits to the lowest

A bucket is a range of 2^shift destinations. Sorted keys of a bucket are its rows of the CSC:
destinations ascending, sources ascending within one, parallel edges by type.

Legend: E edges, n nodes of a bucket, B buckets, H held-out pairs of a bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.core.errors import UserError


@dataclass(frozen=True)
class KeyLayout:
    """Where the parts of a key are.

    Attributes:
        shift: a bucket is 2^shift consecutive destinations.
        src_bits, type_bits: width of source and type.

    Raises UserError if they need more than 64 bits together.
    """

    shift: int
    src_bits: int
    type_bits: int

    def __post_init__(self) -> None:
        if self.shift + self.src_bits + self.type_bits > 64:
            raise UserError("too many nodes and edge types to sort; give more memory")

    @classmethod
    def of(cls, num_nodes: int, num_types: int, shift: int) -> KeyLayout:
        return cls(shift, max(num_nodes - 1, 1).bit_length(), max(num_types - 1, 0).bit_length())

    def keys(self, src: np.ndarray, dst_in_bucket: np.ndarray) -> np.ndarray:
        """Keys uint64 of pairs, without types."""
        return (dst_in_bucket.astype(np.uint64) << np.uint64(self.src_bits)) | src.astype(np.uint64)


@njit(nogil=True)
def pair_hash(src: int, dst: int, seed: int) -> np.uint64:
    """The same for both directions: two rounds of SplitMix64 (Steele et al., 2014)."""
    low, high = np.uint64(min(src, dst)), np.uint64(max(src, dst))
    return mix(mix(low + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)) ^ high)


@njit(nogil=True)
def mix(value: np.uint64) -> np.uint64:
    """One step of SplitMix64: every bit of the value reaches every bit of the result."""
    x = value + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True)
def pair_hashes(src_E: np.ndarray, dst_E: np.ndarray, seed: int) -> np.ndarray:
    """`pair_hash` of every edge, uint64 [E]."""
    hash_E = np.empty(len(src_E), np.uint64)
    for edge in range(len(src_E)):
        hash_E[edge] = pair_hash(src_E[edge], dst_E[edge], seed)
    return hash_E


@njit(nogil=True)
def group_edges(
    src_E: np.ndarray,
    dst_E: np.ndarray,
    type_E: np.ndarray,
    rank_N: np.ndarray,
    num_buckets: int,
    shift: int,
    src_bits: int,
    type_bits: int,
    mirror: bool,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Keys of edges, grouped by bucket.

    Args:
        type_E: empty where edges have no types.
        rank_N: a node's new number; empty where nodes keep theirs.
        mirror: whether an edge stands for both directions.

    Returns the keys uint64, where each bucket begins int64 [B+1], and how many self-loops were
    left out.
    """
    renumber, typed = len(rank_N) > 0, len(type_E) > 0
    start_B = np.zeros(num_buckets + 1, np.int64)
    new_src, new_dst = np.empty(len(src_E), np.int64), np.empty(len(src_E), np.int64)
    loops = 0
    for edge in range(len(src_E)):  # ranks are read from anywhere in memory: once is enough
        if src_E[edge] == dst_E[edge]:
            loops += 1
            new_dst[edge] = -1
            continue
        src = int(rank_N[src_E[edge]] if renumber else src_E[edge])
        dst = int(rank_N[dst_E[edge]] if renumber else dst_E[edge])
        new_src[edge], new_dst[edge] = src, dst
        start_B[(dst >> shift) + 1] += 1
        if mirror:
            start_B[(src >> shift) + 1] += 1
    for bucket in range(num_buckets):
        start_B[bucket + 1] += start_B[bucket]
    free_B = start_B[:-1].copy()
    keys = np.empty(start_B[-1], np.uint64)
    mask = (np.int64(1) << shift) - 1
    for edge in range(len(src_E)):
        src, dst = new_src[edge], new_dst[edge]
        if dst < 0:
            continue
        kind = int(type_E[edge]) if typed else 0
        bucket = dst >> shift
        keys[free_B[bucket]] = ((((dst & mask) << src_bits) | src) << type_bits) | kind
        free_B[bucket] += 1
        if mirror:
            bucket = src >> shift
            keys[free_B[bucket]] = ((((src & mask) << src_bits) | dst) << type_bits) | kind
            free_B[bucket] += 1
    return keys, start_B, loops


class SortedRows(NamedTuple):
    """The rows of the CSC that a bucket holds, and what was taken out of them.

    Attributes:
        degree: int64 [n] edges of each destination.
        indices: sources of the edges that stay.
        types: int16, empty without types.
        held_pair: int64, for every held-out edge the number of its pair.
        held_src, held_dst, held_type: int64, its ends (dst within the bucket) and its type.
        known_src, known_dst: int64 edges, held out or not, whose source is marked.
        duplicates: edges that were merged with another.
    """

    degree: np.ndarray
    indices: np.ndarray
    types: np.ndarray
    held_pair: np.ndarray
    held_src: np.ndarray
    held_dst: np.ndarray
    held_type: np.ndarray
    known_src: np.ndarray
    known_dst: np.ndarray
    duplicates: int


@njit(nogil=True)
def rows_of_keys(
    keys: np.ndarray,
    num_rows: int,
    src_bits: int,
    type_bits: int,
    merge_types: bool,
    keep_repeats: bool,
    held_H: np.ndarray,
    pair_H: np.ndarray,
    marked_N: np.ndarray,
    indices: np.ndarray,
    types: np.ndarray,
) -> tuple:
    """Decode a bucket's sorted keys; see `SortedRows` for what is returned, in its order.

    Args:
        merge_types: parallel edges of different types are one, of the lowest type.
        keep_repeats: an edge that stands there twice stays twice.
        held_H: keys without type of the held-out pairs, both ways, ascending; pair_H their numbers.
        marked_N: bool; edges from marked sources are also listed as known. Empty: none is.
        indices, types: room for as many as there are keys (types: for none, without types).
    """
    degree = np.zeros(num_rows, np.int64)
    src_mask = (np.uint64(1) << np.uint64(src_bits)) - np.uint64(1)
    type_mask = (np.uint64(1) << np.uint64(type_bits)) - np.uint64(1)
    width, source_width = np.uint64(type_bits), np.uint64(src_bits)
    num_held = num_known = 0
    for filling in range(2):
        held = np.empty((4, num_held), np.int64)
        known = np.empty((2, num_known), np.int64)
        num_held = num_known = num_kept = duplicates = at = 0
        for place in range(len(keys)):
            key = keys[place]
            pair = key >> width
            if place and not keep_repeats:
                before = keys[place - 1]
                if before == key or (merge_types and before >> width == pair):
                    duplicates += 1
                    continue
            src = np.int64(pair & src_mask)
            row = np.int64(pair >> source_width)
            if len(marked_N) and marked_N[src]:
                if filling:
                    known[0, num_known] = src
                    known[1, num_known] = row
                num_known += 1
            while at < len(held_H) and held_H[at] < pair:
                at += 1
            if at < len(held_H) and held_H[at] == pair:
                if filling:
                    held[0, num_held] = pair_H[at]
                    held[1, num_held] = src
                    held[2, num_held] = row
                    held[3, num_held] = np.int64(key & type_mask)
                num_held += 1
                continue
            if filling:
                degree[row] += 1
                indices[num_kept] = src
                if len(types):
                    types[num_kept] = np.int64(key & type_mask)
            num_kept += 1
    return (
        degree,
        indices[:num_kept],
        types[:num_kept],
        held[0],
        held[1],
        held[2],
        held[3],
        known[0],
        known[1],
        duplicates,
    )
