"""Learned factors: one per modality, with biases in each relation.

Legend: N items, R width of the factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Factors:
    """The factors and biases of all modalities, on the CPU.

    Attributes:
        rows: modality -> [N, R].
        biases: relation -> modality -> [N].
    """

    rows: dict[str, np.ndarray]
    biases: dict[str, dict[str, np.ndarray]]

    @property
    def are_finite(self) -> bool:
        """Whether all values are finite."""
        biases = [bias for of in self.biases.values() for bias in of.values()]
        return all(np.isfinite(values).all() for values in [*self.rows.values(), *biases])
