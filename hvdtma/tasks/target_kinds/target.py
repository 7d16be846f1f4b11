"""The contract of a kind of labels: its head, loss, predictions and metrics.

Legend: B nodes of a batch, Q held-out nodes, H hidden, C outputs of the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from hvdtma.graph.sizes import GraphFacts

ClassWeights = str | Mapping[str, float]  # `none`, `balanced`, or a weight by name


class TargetKind(Protocol):
    """Labels of one kind, on one store.

    Raises UserError for weights that do not fit the labels.

    Attributes:
        metrics: class attribute; the first one chooses the best round.
        least_is_best: class attribute; metrics whose lowest value is the best.
        scored_bytes: memory per held-out node, with its label, while it is scored.
    """

    metrics: ClassVar[Sequence[str]]
    least_is_best: ClassVar[Sequence[str]]
    scored_bytes: int

    def __init__(self, store: GraphFacts, class_weights: ClassWeights): ...

    def make_head(self, dim: int) -> nn.Module:
        """A module from embeddings [B, H] of width `dim` to outputs [B, C]."""
        ...

    def loss(self, head: nn.Module, h_BH: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar. Every node has a label."""
        ...

    def predicted(self, head: nn.Module, h_BH: torch.Tensor) -> np.ndarray:
        """What `score` compares with labels, [B, ...]."""
        ...

    def chance(self) -> dict[str, float]:
        """The metrics of a model that has learned nothing, as far as they are known."""
        ...

    def columns(self, head: nn.Module, h_BH: torch.Tensor) -> dict[str, np.ndarray]:
        """The predictions for people: columns [B] of numbers or text by name."""
        ...

    def score(self, predicted_Q: np.ndarray, label_Q: np.ndarray) -> dict[str, float]:
        """Every metric. A prediction that is not a number counts as wrong."""
        ...
