"""Rows of numbers by node - features, labels - that need not be in memory, and their shuffling.

Legend: N nodes, D values a row, n nodes asked for.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class NodeRows(Protocol):
    """A matrix [N, D] of which any rows can be had."""

    shape: tuple[int, int]

    def take(self, nodes: np.ndarray) -> np.ndarray:
        """Rows [n, D] of the nodes, in their order."""
        ...


class ArrayRows:
    """Rows of an array in memory."""

    def __init__(self, values_ND: np.ndarray):
        self.values = values_ND
        self.shape = values_ND.shape

    def take(self, nodes: np.ndarray) -> np.ndarray:
        return self.values[nodes]
