"""Batches of edges: the unit in which edges pass through a build."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from hvdtma.core.errors import UserError

EDGES_PER_BATCH = 1 << 20


class EdgeBatch(NamedTuple):
    """Some edges.

    Attributes:
        src, dst: int64 [n], node numbers.
        types: int16 [n], or None.
        weight: float32 or float64 [n], positive and finite; or None.
        time: int64 [n], any number that grows with time (seconds since 1970, a year); or None.
    """

    src: np.ndarray
    dst: np.ndarray
    types: np.ndarray | None = None
    weight: np.ndarray | None = None
    time: np.ndarray | None = None

    def take(self, rows: np.ndarray | slice) -> EdgeBatch:
        """Some of the edges, by number, mask or range."""
        return EdgeBatch._make(None if values is None else values[rows] for values in self)


AnyBatch: TypeAlias = EdgeBatch | tuple[Any, ...]
"""A batch; a plain tuple holds the first fields of one, such as (src, dst, types)."""
LazyEdgeBatch: TypeAlias = AnyBatch | Callable[[], AnyBatch]
"""A batch, or a function that returns it and is called in any thread."""


def materialize(batch: LazyEdgeBatch) -> EdgeBatch:
    """The batch itself; raises UserError for anything but a tuple of the right length."""
    found = batch() if callable(batch) else batch
    if isinstance(found, EdgeBatch):
        return found
    if not isinstance(found, tuple | list) or not 2 <= len(found) <= len(EdgeBatch._fields):
        size = f" of {len(found)}" if isinstance(found, tuple | list) else ""
        raise UserError(
            f"a batch of edges is a {type(found).__name__}{size}; valid: an EdgeBatch, or a tuple "
            "(src, dst, types, weight, time) whose last fields may be missing"
        )
    return EdgeBatch(*found)
