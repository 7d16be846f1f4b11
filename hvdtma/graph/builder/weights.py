"""The range of a new store's edge weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hvdtma.graph.selection import nth_largest
from hvdtma.storage.writer import StoreWriter

WEIGHTS_AT_ONCE = 1 << 20


def weight_range(writer: StoreWriter) -> dict[str, float]:
    """The smallest, the median and the largest weight; the lower one of two medians."""
    weights = writer.reader("weight")
    num_edges = weights.shape[0]

    def pieces() -> Iterator[np.ndarray]:
        for start in range(0, num_edges, WEIGHTS_AT_ONCE):
            yield weights[start : start + WEIGHTS_AT_ONCE]

    least = float(min(piece.min() for piece in pieces()))
    largest = float(max(piece.max() for piece in pieces()))

    def bits() -> Iterator[np.ndarray]:  # positive floats are ordered as their bits are
        for piece in pieces():
            yield piece.view(np.int32).astype(np.int64)

    low, high = (int(np.float32(value).view(np.int32)) for value in (least, largest))
    median = nth_largest(bits, num_edges // 2 + 1, low, high)
    return {"min": least, "median": float(np.int32(median).view(np.float32)), "max": largest}
