"""Estimate the number of distinct values from their hashes, in little memory.

HyperLogLog (Flajolet et al., 2007) with 2^14 registers: a standard error of 0.8 %.

Legend: R registers, n hashes of a piece.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit

_BITS = 14


class DistinctEstimate:
    """Estimates the number of distinct hashes."""

    def __init__(self) -> None:
        self.register_R = np.zeros(1 << _BITS, np.uint8)

    def add(self, hash_n: np.ndarray) -> None:
        """Add uint64 hashes."""
        _note(self.register_R, hash_n)

    def count(self) -> int:
        """The estimate; accurate for large numbers only."""
        registers = len(self.register_R)
        share = 0.7213 / (1 + 1.079 / registers)
        return int(share * registers**2 / np.ldexp(1.0, -self.register_R.astype(int)).sum())


@njit(nogil=True)
def _note(register_R: np.ndarray, hash_n: np.ndarray) -> None:
    """Update each register: the maximum over its hashes of the trailing zeros plus one."""
    for hashed in hash_n:
        register = np.int64(hashed & np.uint64(len(register_R) - 1))
        rest = hashed >> np.uint64(_BITS)
        zeros = 1
        while zeros <= 64 - _BITS and not rest & np.uint64(1):
            rest >>= np.uint64(1)
            zeros += 1
        register_R[register] = max(register_R[register], zeros)
