"""The n-th largest of many numbers that are read in pieces, exactly and in little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

DIGIT_BITS = 16  # one pass over the numbers finds one digit of the result
Pieces = Callable[[], Iterable[np.ndarray]]


def nth_largest(pieces: Pieces, n: int, least: int, largest: int) -> int:
    """The n-th largest of some integers; the largest one is the first.

    Args:
        pieces: called for every pass, returns all numbers as int64 arrays.
        n: 1 .. the number of numbers.
        least, largest: bounds of the numbers; a narrow range takes fewer passes.
    """
    digits = max(-(-(largest - least).bit_length() // DIGIT_BITS), 1)
    prefix, rest, base = 0, n, np.uint64(least % 2**64)
    for digit in reversed(range(digits)):
        shift = digit * DIGIT_BITS
        count = np.zeros(1 << DIGIT_BITS, np.int64)
        for piece in pieces():
            offset = piece.astype(np.int64, copy=False).view(np.uint64) - base  # modulo 2^64
            if digit + 1 < digits:
                offset = offset[offset >> np.uint64(shift + DIGIT_BITS) == np.uint64(prefix)]
            number = offset >> np.uint64(shift) & np.uint64(len(count) - 1)
            count += np.bincount(number.astype(np.int64), minlength=len(count))
        from_above = np.cumsum(count[::-1])
        place = int(np.searchsorted(from_above, rest))
        rest -= int(from_above[place - 1]) if place else 0
        prefix = prefix << DIGIT_BITS | len(count) - 1 - place
    return least + prefix
