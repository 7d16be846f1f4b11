"""Hashes of integers and of node pairs: SplitMix64 (Steele et al., OOPSLA 2014).

Legend: E edges.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit

GAMMA = np.uint64(0x9E3779B97F4A7C15)  # the step of the generator


@njit(nogil=True)
def mix(value: np.uint64) -> np.uint64:
    """One step of SplitMix64: every bit of the value affects every bit of the result."""
    x = value + GAMMA
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True)
def pair_hash(src: int, dst: int, seed: int) -> np.uint64:
    """The hash of an unordered pair: two rounds of SplitMix64."""
    low, high = np.uint64(min(src, dst)), np.uint64(max(src, dst))
    return mix(mix(low + np.uint64(seed) * GAMMA) ^ high)


@njit(nogil=True)
def pair_hashes(src_E: np.ndarray, dst_E: np.ndarray, seed: int) -> np.ndarray:
    """`pair_hash` of every edge, uint64 [E]."""
    hash_E = np.empty(len(src_E), np.uint64)
    for edge in range(len(src_E)):
        hash_E[edge] = pair_hash(src_E[edge], dst_E[edge], seed)
    return hash_E
