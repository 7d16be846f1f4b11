"""Metrics of several labels per node, and of regression. Unknown entries are left out.

Legend: Q nodes, q nodes with a known entry, C labels, T targets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hvdtma.graph.targets import UNKNOWN

WORST = float(np.finfo(np.float32).max)  # in place of a prediction that is not finite


def multi_label_metrics(logit_QC: np.ndarray, label_QC: np.ndarray) -> dict[str, float]:
    """Micro and macro F1 of logits above 0, mean ROC AUC and mean average precision.

    As in scikit-learn, an F1 without positives and predictions is 0. ROC AUC is the mean over
    labels with both values, as for ogbn-proteins (Hu et al., arXiv 2005.00687); average precision
    is the mean over labels with a positive. Either is NaN without such a label.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # slow to import

    true_QC, known_QC = label_QC == 1, label_QC != UNKNOWN
    said_QC = (logit_QC > 0) & known_QC
    hit_C = (said_QC & true_QC).sum(0)
    both_C = said_QC.sum(0) + true_QC.sum(0)  # 2 hits + misses + false alarms
    areas, precisions = [], []
    for true_q, score_q in _ranked(logit_QC, label_QC):
        precisions.append(average_precision_score(true_q, score_q))
        if not true_q.all():
            areas.append(roc_auc_score(true_q, score_q))
    return {
        "micro_f1": float(2 * hit_C.sum() / max(both_C.sum(), 1)),
        "macro_f1": float((2 * hit_C / np.maximum(both_C, 1)).mean()),
        "auc": float(np.mean(areas)) if areas else float("nan"),
        "average_precision": float(np.mean(precisions)) if precisions else float("nan"),
    }


def _ranked(logit_QC: np.ndarray, label_QC: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Truth bool [q] and score float64 [q] of each label with a positive."""
    for label_Q, logit_Q in zip(label_QC.T, logit_QC.T, strict=True):
        known_Q = label_Q != UNKNOWN
        true_q, score_q = label_Q[known_Q] == 1, logit_Q[known_Q].astype(np.float64)
        if true_q.any():
            wrong_q = np.where(true_q, -WORST, WORST)
            yield true_q, np.clip(np.where(np.isnan(score_q), wrong_q, score_q), -WORST, WORST)


def regression_metrics(predicted_QT: np.ndarray, target_QT: np.ndarray) -> dict[str, float]:
    """R^2, root mean squared error and mean absolute error; the mean over the targets of each.

    R^2 as in scikit-learn; where all targets are equal it is 1 for exact predictions and else 0.
    """
    predicted_QT = np.nan_to_num(predicted_QT, nan=WORST, posinf=WORST, neginf=-WORST)
    scores = [
        _of_target(predicted_q[known], target_q[known])
        for predicted_q, target_q in zip(predicted_QT.T, target_QT.T, strict=True)
        if (known := ~np.isnan(target_q)).any()
    ]
    r2, rmse, mae = np.mean(scores, axis=0).tolist()
    return {"r2": r2, "rmse": rmse, "mae": mae}


def _of_target(predicted_q: np.ndarray, target_q: np.ndarray) -> tuple[float, float, float]:
    error_q = np.clip(predicted_q, -WORST, WORST) - target_q
    squares, spread = (error_q**2).sum(), ((target_q - target_q.mean()) ** 2).sum()
    exact = float(squares == 0)
    r2 = 1 - squares / spread if spread > 0 else exact
    return float(r2), float(np.sqrt(squares / len(error_q))), float(np.abs(error_q).mean())
