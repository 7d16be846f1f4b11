"""SortedRows of numbers by node - features, labels - that need not be in memory, and their shuffling.

Legend: N nodes, D values a row, n nodes asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np


class NodeRows(Protocol):
    """A matrix [N, D] of which any rows can be had."""

    shape: tuple[int, int]

    def take(self, nodes: np.ndarray) -> np.ndarray:
        """SortedRows [n, D] of the nodes, in their order."""
        ...


@runtime_checkable
class SequentialRows(Protocol):
    """A matrix [N, D] that is had from front to back only, in an order of its own.

    Attributes:
        nodes: the node of each row as they come, int [N]; None where row i is node i's.
    """

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def nodes(self) -> np.ndarray | None: ...

    def pieces(self) -> Iterator[np.ndarray]:
        """Every row once, [n, D] at a time."""
        ...


class ArrayRows:
    """SortedRows of an array in memory."""

    def __init__(self, values_ND: np.ndarray):
        self.values = values_ND
        self.shape = values_ND.shape

    def take(self, nodes: np.ndarray) -> np.ndarray:
        return self.values[nodes]
