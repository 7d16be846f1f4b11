"""Metrics of link prediction and of node classification.

Legend: n links, K negatives per link, Q nodes.
"""

from __future__ import annotations

import numpy as np
import torch

HITS = (1, 10, 50, 100)


def ranks(positive_n: torch.Tensor, negative_nK: torch.Tensor) -> torch.Tensor:
    """The rank of each link among its negatives, float64 [n]. Ties count half; NaN ranks last."""
    higher = (~(negative_nK <= positive_n[:, None])).sum(1)  # also true for NaN
    tied = (negative_nK == positive_n[:, None]).sum(1)
    return 1.0 + higher.double() + tied.double() / 2


def link_metrics(rank_n: torch.Tensor, auc: float) -> dict[str, float]:
    """MRR and Hits@k from ranks, together with the AUC."""
    hits = {f"hits@{k}": float((rank_n <= k).double().mean()) for k in HITS}
    return {"mrr": float((1 / rank_n).mean()), **hits, "auc": auc}


def area_under_roc(positive_n: np.ndarray, negative_n: np.ndarray) -> float:
    """AUC of positives against the same number of negatives (the first of each link).

    A NaN score counts as wrong: as the lowest for a positive, as the highest for a negative.
    """
    from sklearn.metrics import roc_auc_score  # slow to import; trainers do not score

    truth = np.r_[np.ones(len(positive_n)), np.zeros(len(negative_n))]
    lowest, highest = np.finfo(positive_n.dtype).min, np.finfo(negative_n.dtype).max
    scores = np.nan_to_num(positive_n, nan=lowest), np.nan_to_num(negative_n, nan=highest)
    # scikit-learn subtracts scores, which overflows in float32.
    return float(roc_auc_score(truth, np.r_[scores].astype(np.float64)))


def class_metrics(predicted_Q: np.ndarray, label_Q: np.ndarray) -> dict[str, float]:
    """Accuracy and macro-averaged F1."""
    from sklearn.metrics import accuracy_score, f1_score  # slow to import

    return {
        "accuracy": float(accuracy_score(label_Q, predicted_Q)),
        "macro_f1": float(f1_score(label_Q, predicted_Q, average="macro", zero_division=0)),
    }
