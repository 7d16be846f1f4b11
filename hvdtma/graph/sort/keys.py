"""Encode edges as uint64 keys, so that sorting edges is sorting integers.

    key = destination within its bucket | source | type        from the highest bits to the lowest

A bucket is a range of 2^shift destinations. The sorted keys of a bucket are its rows of the CSC:
ascending destinations, ascending sources within a destination, parallel edges by type.

A value may go with each key: the weight or the time of the edge.

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
    """The layout of a key.

    Attributes:
        shift: a bucket is 2^shift consecutive destinations.
        src_bits, type_bits: the widths of source and type.

    Raises UserError if a key needs more than 64 bits.
    """

    shift: int
    src_bits: int
    type_bits: int

    def __post_init__(self) -> None:
        if self.shift + self.src_bits + self.type_bits > 64:
            raise UserError("too many nodes and edge types to sort; give a larger --memory-gb")

    @classmethod
    def of(cls, num_nodes: int, num_types: int, shift: int) -> KeyLayout:
        return cls(shift, max(num_nodes - 1, 1).bit_length(), max(num_types - 1, 0).bit_length())

    def keys(self, src: np.ndarray, dst_in_bucket: np.ndarray) -> np.ndarray:
        """The keys of pairs without types, uint64."""
        return (dst_in_bucket.astype(np.uint64) << np.uint64(self.src_bits)) | src.astype(np.uint64)

    def ends(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `keys`, for keys without types: src and dst in the bucket, int64."""
        mask = (np.uint64(1) << np.uint64(self.src_bits)) - np.uint64(1)
        return (keys & mask).astype(np.int64), (keys >> np.uint64(self.src_bits)).astype(np.int64)


@njit(nogil=True)
def group_edges(
    src_E: np.ndarray,
    dst_E: np.ndarray,
    type_E: np.ndarray,
    value_E: np.ndarray,
    rank_N: np.ndarray,
    num_buckets: int,
    shift: int,
    src_bits: int,
    type_bits: int,
    mirror: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The keys of edges, grouped by bucket.

    Args:
        type_E: empty for edges without types.
        value_E: a number that goes with each edge's key; empty without any.
        rank_N: the new number of each node; empty if it does not change.
        mirror: whether an edge stands for both directions.

    Returns the keys uint64, their values, the start of each bucket int64 [B+1], and the number of
    self-loops, which are left out.
    """
    renumber, typed, valued = len(rank_N) > 0, len(type_E) > 0, len(value_E) > 0
    start_B = np.zeros(num_buckets + 1, np.int64)
    new_src, new_dst = np.empty(len(src_E), np.int64), np.empty(len(src_E), np.int64)
    loops = 0
    for edge in range(len(src_E)):  # ranks are random reads: one pass only
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
    values = np.empty(start_B[-1] if valued else 0, value_E.dtype)
    mask = (np.int64(1) << shift) - 1
    for edge in range(len(src_E)):
        src, dst = new_src[edge], new_dst[edge]
        if dst < 0:
            continue
        kind = int(type_E[edge]) if typed else 0
        bucket = dst >> shift
        keys[free_B[bucket]] = ((((dst & mask) << src_bits) | src) << type_bits) | kind
        if valued:
            values[free_B[bucket]] = value_E[edge]
        free_B[bucket] += 1
        if mirror:
            bucket = src >> shift
            keys[free_B[bucket]] = ((((src & mask) << src_bits) | dst) << type_bits) | kind
            if valued:
                values[free_B[bucket]] = value_E[edge]
            free_B[bucket] += 1
    return keys, values, start_B, loops


@njit(nogil=True)
def merge_weights(
    keys: np.ndarray, weights: np.ndarray, type_bits: int, merge_types: bool, keep_repeats: bool
) -> int:
    """Merge the repeats among sorted keys in place, with the sum of their weights; how many stay.

    The weights of one key are added in float64 and in ascending order, so the sum depends on
    neither the order of the edges nor the memory. With `keep_repeats`, they are only put in order.
    """
    width = np.uint64(type_bits if merge_types and not keep_repeats else 0)
    kept = start = 0
    while start < len(keys):
        end = start + 1
        while end < len(keys) and keys[end] >> width == keys[start] >> width:
            end += 1
        if keep_repeats:
            weights[start:end] = np.sort(weights[start:end])
            kept = end
        else:
            total = 0.0
            if end - start == 1:
                total += weights[start]
            else:
                for weight in np.sort(weights[start:end]):
                    total += weight
            keys[kept], weights[kept] = keys[start], total
            kept += 1
        start = end
    return kept


class SortedRows(NamedTuple):
    """The rows of the CSC in one bucket, and the edges removed from them.

    Attributes:
        degree: int64 [n], the number of edges of each destination.
        indices: the sources of the edges that stay.
        types: int16; empty without types.
        weights: float32; empty without weights.
        held_out_pair: int64, for every held-out edge the number of its pair.
        held_out_src, held_out_dst, held_out_type: int64, its ends and its type.
        known_src, known_dst: int64, the edges from marked sources, held out or not.
        duplicates: the number of edges that were merged with another one.

    Destinations held_out_dst and known_dst are counted from the bucket's first node.
    """

    degree: np.ndarray
    indices: np.ndarray
    types: np.ndarray
    weights: np.ndarray
    held_out_pair: np.ndarray
    held_out_src: np.ndarray
    held_out_dst: np.ndarray
    held_out_type: np.ndarray
    known_src: np.ndarray
    known_dst: np.ndarray
    duplicates: int


@njit(nogil=True)
def rows_of_keys(
    keys: np.ndarray,
    weights: np.ndarray,
    num_rows: int,
    src_bits: int,
    type_bits: int,
    merge_types: bool,
    keep_repeats: bool,
    key_H: np.ndarray,
    pair_H: np.ndarray,
    marked_N: np.ndarray,
    indices: np.ndarray,
    types: np.ndarray,
) -> tuple:
    """Decode a bucket's sorted keys to the fields of `SortedRows`, in their order.

    Args:
        weights: float32, the weight of each key; empty without weights. Overwritten.
        merge_types: whether to merge parallel edges of different types, into the lowest type.
        keep_repeats: whether to keep repeated edges.
        key_H, pair_H: the keys without types of held-out pairs in both directions, ascending, and
            the numbers of the pairs.
        marked_N: bool [N], the nodes whose out-edges are listed as known; or empty.
        indices, types: buffers of the number of keys (types: empty without types).
    """
    degree = np.zeros(num_rows, np.int64)
    src_mask = (np.uint64(1) << np.uint64(src_bits)) - np.uint64(1)
    type_mask = (np.uint64(1) << np.uint64(type_bits)) - np.uint64(1)
    width, source_width = np.uint64(type_bits), np.uint64(src_bits)
    num_held_out, num_known, weighted = 0, 0, len(weights) > 0
    for filling in range(2):
        held_out = np.empty((4, num_held_out), np.int64)
        known = np.empty((2, num_known), np.int64)
        num_held_out = num_known = num_kept = duplicates = at = 0
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
            while at < len(key_H) and key_H[at] < pair:
                at += 1
            if at < len(key_H) and key_H[at] == pair:
                if filling:
                    held_out[0, num_held_out] = pair_H[at]
                    held_out[1, num_held_out] = src
                    held_out[2, num_held_out] = row
                    held_out[3, num_held_out] = np.int64(key & type_mask)
                num_held_out += 1
                continue
            if filling:
                degree[row] += 1
                indices[num_kept] = src
                if len(types):
                    types[num_kept] = np.int64(key & type_mask)
                if weighted:
                    weights[num_kept] = weights[place]
            num_kept += 1
    return (
        degree,
        indices[:num_kept],
        types[:num_kept],
        weights[:num_kept],
        held_out[0],
        held_out[1],
        held_out[2],
        held_out[3],
        known[0],
        known[1],
        duplicates,
    )
