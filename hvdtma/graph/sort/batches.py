"""Batches of edges: the unit in which edges pass through a build."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

EDGES_PER_BATCH = 1 << 20
EdgeBatch: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Sources and destinations int64 [n], and types int16 [n] or None."""
LazyEdgeBatch: TypeAlias = EdgeBatch | Callable[[], EdgeBatch]
"""A batch, or a function that returns it and is called in any thread."""


def materialize(batch: LazyEdgeBatch) -> EdgeBatch:
    """The batch itself."""
    return batch() if callable(batch) else batch
