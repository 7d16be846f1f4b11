"""One class per node: softmax and cross-entropy.

Legend: B nodes of a batch, Q held-out nodes, H hidden, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hvdtma.graph.label_statistics import training_labels
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.stored_rows import stored
from hvdtma.tasks.chance import chance_of_classes
from hvdtma.tasks.metrics import class_metrics
from hvdtma.tasks.target_kinds.target import ClassWeights
from hvdtma.tasks.target_kinds.weights import as_tensor, balanced_classes, named_weights, none_of

SCORED_BYTES = 6 * 8  # label and prediction, and scikit-learn's copies of both


class ClassTarget:
    """See `TargetKind`."""

    metrics: ClassVar[Sequence[str]] = ("accuracy", "macro_f1")
    least_is_best: ClassVar[Sequence[str]] = ()
    scored_bytes = SCORED_BYTES

    def __init__(self, store: GraphFacts, class_weights: ClassWeights):
        self.store, self.class_weights = store, class_weights
        self.num_classes = len(store.label_names)
        if isinstance(class_weights, Mapping):
            named_weights(class_weights, store.label_names)

    @cached_property
    def weights(self) -> torch.Tensor | None:
        """The weights, the same on every trainer."""
        if none_of(self.class_weights):
            return None
        if isinstance(self.class_weights, Mapping):
            return as_tensor(named_weights(self.class_weights, self.store.label_names))
        return as_tensor(balanced_classes(training_labels(stored(self.store)).count_C))

    def make_head(self, dim: int) -> nn.Module:
        return nn.Linear(dim, self.num_classes)

    def loss(self, head: nn.Module, h_BH: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
        """The mean of the nodes' cross-entropies, weighted by class."""
        logits_BC = head(h_BH)
        if self.weights is None:
            return cross_entropy(logits_BC, label_B)
        weight_C = self.weights.to(logits_BC.device)
        loss_B = cross_entropy(logits_BC, label_B, weight=weight_C, reduction="none")
        total = weight_C[label_B].sum()
        return loss_B.sum() / torch.where(total > 0, total, 1.0)  # a batch may have weight 0

    def predicted(self, head: nn.Module, h_BH: torch.Tensor) -> np.ndarray:
        """The most probable class, int64 [B]."""
        return head(h_BH).argmax(1).cpu().numpy()

    def chance(self) -> dict[str, float]:
        return chance_of_classes(training_labels(stored(self.store)).count_C)

    def columns(self, head: nn.Module, h_BH: torch.Tensor) -> dict[str, np.ndarray]:
        """`class`, its `probability`, and `p_NAME` of each class."""
        logits_BC = head(h_BH)
        class_B = logits_BC.argmax(1).cpu().numpy()
        p_BC = logits_BC.double().softmax(1).float().cpu().numpy()
        names = np.array([str(name) for name in self.store.label_names], object)
        each = {f"p_{name}": p_BC[:, number] for number, name in enumerate(names)}
        return {"class": names[class_B], "probability": p_BC.max(1), **each}

    def score(self, predicted_Q: np.ndarray, label_Q: np.ndarray) -> dict[str, float]:
        return class_metrics(predicted_Q, label_Q)
