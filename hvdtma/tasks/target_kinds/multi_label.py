"""Several labels per node: a sigmoid and binary cross-entropy for each label.

Legend: B nodes of a batch, Q held-out nodes, H hidden, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from hvdtma.graph.label_statistics import training_labels
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.stored_rows import stored
from hvdtma.graph.targets import UNKNOWN
from hvdtma.tasks.chance import chance_of_labels
from hvdtma.tasks.label_metrics import multi_label_metrics
from hvdtma.tasks.target_kinds.target import ClassWeights
from hvdtma.tasks.target_kinds.weights import as_tensor, balanced_labels, named_weights, none_of

COLUMN_BYTES = 64  # per node: one label's scores and truth, and scikit-learn's sorted copies


class MultiLabelTarget:
    """See `TargetKind`. The weight of a class is that of its positive nodes."""

    metrics: ClassVar[Sequence[str]] = ("micro_f1", "macro_f1", "auc", "average_precision")
    least_is_best: ClassVar[Sequence[str]] = ()

    def __init__(self, store: GraphFacts, class_weights: ClassWeights):
        self.store, self.class_weights = store, class_weights
        self.num_labels = len(store.label_names)
        self.scored_bytes = COLUMN_BYTES + (2 * 4 + 5) * self.num_labels  # logits twice; truth
        if isinstance(class_weights, Mapping):
            named_weights(class_weights, store.label_names)

    @cached_property
    def positive_weights(self) -> torch.Tensor | None:
        """The weights of positive nodes, the same on every trainer."""
        if none_of(self.class_weights):
            return None
        if isinstance(self.class_weights, Mapping):
            return as_tensor(named_weights(self.class_weights, self.store.label_names))
        whole = training_labels(stored(self.store))
        return as_tensor(balanced_labels(whole.count_C, whole.known_C))

    def make_head(self, dim: int) -> nn.Module:
        return nn.Linear(dim, self.num_labels)

    def loss(self, head: nn.Module, h_BH: torch.Tensor, label_BC: torch.Tensor) -> torch.Tensor:
        """The mean binary cross-entropy of all known entries."""
        logits_BC = head(h_BH)
        weight_C = self.positive_weights
        loss_BC = binary_cross_entropy_with_logits(
            logits_BC,
            (label_BC == 1).to(logits_BC.dtype),
            pos_weight=None if weight_C is None else weight_C.to(logits_BC),
            reduction="none",
        )
        known_BC = label_BC != UNKNOWN
        return (loss_BC * known_BC).sum() / known_BC.sum().clamp(min=1)

    def predicted(self, head: nn.Module, h_BH: torch.Tensor) -> np.ndarray:
        """Logits float32 [B, C]; a label applies above 0."""
        return head(h_BH).float().cpu().numpy()

    def chance(self) -> dict[str, float]:
        whole = training_labels(stored(self.store))
        return chance_of_labels(whole.count_C, whole.known_C)

    def columns(self, head: nn.Module, h_BH: torch.Tensor) -> dict[str, np.ndarray]:
        """`p_NAME`, the probability of each label, which applies above 0.5."""
        p_BC = head(h_BH).double().sigmoid().float().cpu().numpy()
        return {f"p_{name}": p_BC[:, number] for number, name in enumerate(self.store.label_names)}

    def score(self, predicted_QC: np.ndarray, label_QC: np.ndarray) -> dict[str, float]:
        return multi_label_metrics(predicted_QC, label_QC)
