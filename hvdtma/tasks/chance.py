"""The metrics of a model that has learned nothing: random scores, or the same answer for all.

They are what a score has to be compared with: an MRR of 0.1 is poor against 10 negatives, and good
against 1000.

Legend: K negatives per link, C classes or labels.
"""

from __future__ import annotations

import numpy as np

from hvdtma.tasks.metrics import HITS


def chance_of_links(num_negatives: int) -> dict[str, float]:
    """Expected metrics of random scores: every rank from 1 to K + 1 is equally likely."""
    ranks = num_negatives + 1
    hits = {f"hits@{k}": min(k / ranks, 1.0) for k in HITS}
    return {"mrr": float((1 / np.arange(1, ranks + 1)).mean()), **hits, "auc": 0.5}


def chance_of_classes(count_C: np.ndarray) -> dict[str, float]:
    """Metrics of the answer "the most frequent class" for every node.

    Args:
        count_C: nodes of each class; those of the training part stand for the held-out ones.
    """
    if not count_C.sum():
        return {}
    share = float(count_C.max() / count_C.sum())
    f1 = 2 * share / (1 + share)  # of that class; of all others 0
    return {"accuracy": share, "macro_f1": f1 / int((count_C > 0).sum())}


def chance_of_labels(count_C: np.ndarray, known_C: np.ndarray) -> dict[str, float]:
    """Expected metrics of random scores: the average precision is the share of positive nodes."""
    has_positive_C = count_C > 0
    if not has_positive_C.any():
        return {"auc": 0.5}
    share_C = count_C[has_positive_C] / known_C[has_positive_C]
    return {"auc": 0.5, "average_precision": float(share_C.mean())}
