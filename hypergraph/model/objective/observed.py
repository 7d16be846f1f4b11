"""The squared error over observed entries.

Legend: n hyperedges, K modalities, N_k items of one, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hypergraph.model.objective.predict import predict, take


def predict_value(
    indices_nK: torch.Tensor,
    factors: Sequence[torch.Tensor],
    *,
    mean: float | torch.Tensor = 0.0,
    biases: Sequence[torch.Tensor | None] | None = None,
) -> torch.Tensor:
    """Values [n]: mean, biases of the items and score of the CP model (Koren et al., 2009).

    Args:
        indices_nK: int64.
        factors: [N_k, R] each.
        mean: mean of all values.
        biases: [N_k] each; None for a modality without biases.
    """
    value_n = predict(indices_nK, factors) + mean
    for k, bias_N in enumerate(biases or []):
        if bias_N is not None:
            value_n = value_n + take(bias_N[:, None], indices_nK[:, k])[:, 0]
    return value_n


def observed_loss(
    indices_nK: torch.Tensor,
    value_n: torch.Tensor,
    factors: Sequence[torch.Tensor],
    *,
    mean: float | torch.Tensor = 0.0,
    biases: Sequence[torch.Tensor | None] | None = None,
) -> torch.Tensor:
    """Mean squared error over the observed entries; 0 without entries.

    A batch gives an unbiased estimate.

    Args:
        value_n: the observed values; other arguments as of `predict_value`.
    """
    error_n = predict_value(indices_nK, factors, mean=mean, biases=biases) - value_n
    return error_n.square().sum() / max(len(error_n), 1)
