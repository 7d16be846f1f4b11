"""Weights of classes: given by name, or balanced by the sizes of the classes.

Legend: C classes or labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from hvdtma.core.errors import UserError, nearest
from hvdtma.tasks.target_kinds.target import ClassWeights


def named_weights(weights: Mapping[str, float], names: Sequence[str]) -> np.ndarray:
    """float64 [C]; a class without a weight has 1. Raises UserError for an unknown name."""
    weight_C, place = np.ones(len(names)), {name: at for at, name in enumerate(names)}
    for name, weight in weights.items():
        if name not in place:
            raise UserError(
                f"task.class_weights names '{name}', which is none of the {len(names)} classes; "
                + nearest(name, list(names))
            )
        weight_C[place[name]] = weight
    if len(names) and not weight_C.any():
        raise UserError("task.class_weights are all 0: there would be nothing to learn")
    return weight_C


def balanced_classes(count_C: np.ndarray) -> np.ndarray:
    """float64 [C]: labelled nodes / (classes * nodes of the class), as scikit-learn's `balanced`.

    Classes without a training node are not counted; their weight is 1.
    """
    present = count_C > 0
    weight_C = count_C.sum() / np.maximum(present.sum() * count_C, 1)
    return np.where(present, weight_C, 1.0)


def balanced_labels(count_C: np.ndarray, known_C: np.ndarray) -> np.ndarray:
    """float64 [C]: nodes without the label / nodes with it; 1 where there are none of either."""
    without_C = known_C - count_C
    both = (count_C > 0) & (without_C > 0)
    return np.where(both, without_C / np.maximum(count_C, 1), 1.0)


def as_tensor(weight_C: np.ndarray | None) -> torch.Tensor | None:
    """float32 [C], or None for no weights."""
    return None if weight_C is None else torch.from_numpy(weight_C).float()


def none_of(weights: ClassWeights) -> bool:
    """Whether no weights are given."""
    return weights == "none" or not weights
