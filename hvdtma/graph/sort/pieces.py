"""Edges some at a time: the unit in which a graph passes through a build."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

EDGES_PER_PIECE = 1 << 20
EdgePiece: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Sources and destinations int64 [n], and types int16 [n] or None."""
