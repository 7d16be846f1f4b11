"""Regression: squared error of standardised targets.

Legend: B nodes of a batch, Q held-out nodes, H hidden, T targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from hvdtma.core.errors import UserError
from hvdtma.graph.label_statistics import training_labels
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.store import GraphStore
from hvdtma.tasks.label_metrics import regression_metrics
from hvdtma.tasks.target_kinds.target import ClassWeights
from hvdtma.tasks.target_kinds.weights import none_of


class RegressionHead(nn.Linear):
    """A linear map to standardised targets, with the units that they are given back in.

    Attributes:
        mean, deviation: buffers float32 [T] of the training nodes. They are saved with the
            parameters: a model keeps its units on another store.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, dim: int, mean_T: np.ndarray, deviation_T: np.ndarray):
        super().__init__(dim, len(mean_T))
        self.register_buffer("mean", torch.tensor(mean_T, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(deviation_T, dtype=torch.float32))

    def standardised(self, target_BT: torch.Tensor) -> torch.Tensor:
        """float32 [B, T] from targets float64 in the user's units."""
        return ((target_BT - self.mean) / self.deviation).float()

    def in_units(self, output_BT: torch.Tensor) -> torch.Tensor:
        """Targets float64 [B, T] in the user's units, from the head's outputs."""
        return self.mean.double() + self.deviation.double() * output_BT.double()


class RealTarget:
    """See `TargetKind`. Raises UserError for weights of classes."""

    metrics: ClassVar[Sequence[str]] = ("r2", "rmse", "mae")
    least_is_best: ClassVar[Sequence[str]] = ("rmse", "mae")

    def __init__(self, store: GraphFacts, class_weights: ClassWeights):
        if not none_of(class_weights):
            raise UserError(
                f"task.class_weights are for classes, but the labels of {store.path} are real "
                "numbers; leave them out"
            )
        self.store = store
        self.scored_bytes = 6 * 8 * len(store.label_names)  # both, joined, and their difference

    def make_head(self, dim: int) -> nn.Module:
        mean_T, deviation_T = np.zeros((2, len(self.store.label_names)))
        if isinstance(self.store, GraphStore):  # a planned graph has no labels yet
            whole = training_labels(self.store)
            mean_T, deviation_T = whole.mean_C, whole.deviation
        smallest = np.finfo(np.float32).tiny  # of a constant target
        return RegressionHead(dim, mean_T, np.where(deviation_T > smallest, deviation_T, 1.0))

    def loss(self, head: nn.Module, h_BH: torch.Tensor, label_BT: torch.Tensor) -> torch.Tensor:
        """The mean squared error of all known entries, in standard deviations."""
        assert isinstance(head, RegressionHead)
        known_BT = ~torch.isnan(label_BT)
        wanted_BT = torch.where(known_BT, head.standardised(label_BT), 0.0)
        error_BT = torch.where(known_BT, head(h_BH).float() - wanted_BT, 0.0)
        return error_BT.square().sum() / known_BT.sum().clamp(min=1)

    def predicted(self, head: nn.Module, h_BH: torch.Tensor) -> np.ndarray:
        """Targets float64 [B, T] in the user's units."""
        assert isinstance(head, RegressionHead)
        return head.in_units(head(h_BH)).cpu().numpy()

    def chance(self) -> dict[str, float]:
        return {"r2": 0.0}  # of the mean target for every node

    def columns(self, head: nn.Module, h_BH: torch.Tensor) -> dict[str, np.ndarray]:
        """`predicted_NAME` of each target, in the user's units."""
        value_BT, names = self.predicted(head, h_BH), self.store.label_names
        return {f"predicted_{name}": value_BT[:, number] for number, name in enumerate(names)}

    def score(self, predicted_QT: np.ndarray, label_QT: np.ndarray) -> dict[str, float]:
        return regression_metrics(predicted_QT, label_QT)
