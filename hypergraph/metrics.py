"""Metrics of completed hyperedges and of predicted values.

Completion hides the item of each modality in turn and ranks all items of the modality in its place.
Items that complete another true hyperedge are left out (filtered ranking: Bordes et al., NeurIPS
2013); equal scores share their mean rank.

Average precision measures how well scores separate true hyperedges from false ones. Each query, a
held-out hyperedge with one item hidden, contributes its true score, and the score with one false
item, drawn from the items that complete no true hyperedge. The scores of all queries and modalities
are sorted into one list, so they must be comparable between queries: ranks of 1 alone do not give
an average precision of 1. Half of the scores are true: chance is 0.5.

Legend: n hyperedges, K arity, N candidates, g true hyperedges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hypergraph.filtering import FilteredItems

HITS = (1, 10, 50)
LEAST_IS_BEST = ("rmse", "mae")  # of all other metrics, most is
CHUNK = 1 << 24  # scores in memory at a time

Scorer = Callable[[np.ndarray, int], np.ndarray]
"""(indices [n, K], k) -> scores [n, N_k] of every item of the k-th modality in position k."""


def completion(
    scores_of: Scorer,
    held_out_nK: np.ndarray,
    true_hyperedges: Sequence[np.ndarray],
    names: Sequence[str],
    sizes: Sequence[int],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Filtered MRR and Hits@k, per modality and their means, and average precision.

    Takes n N_k scores, and O((g + n) log n) time, for each modality.

    Args:
        scores_of: gives the scores of all items in a hidden position.
        held_out_nK: the hyperedges to complete.
        true_hyperedges: [g, K] each; all true hyperedges of any part. The held-out ones need not
            be among them.
        names, sizes: names and numbers of items of the K modalities.
        seed: seed of the false items.

    Returns: metric -> value. `mrr` and `hits@k` are means over modalities of `mrr/NAME` and
    `hits@k/NAME`. `average_precision` is left out if no query has a false item.
    """
    true_gK = np.concatenate([held_out_nK, *true_hyperedges])
    found: dict[str, list[float]] = {}
    by_name: dict[str, float] = {}
    true, false = [], []
    random = np.random.default_rng(seed)
    for k, name in enumerate(names):
        filtered = FilteredItems.of(held_out_nK, true_gK, k, sizes[k])
        rank_n = np.empty(len(held_out_nK))
        step = max(1, CHUNK // sizes[k])
        for start in range(0, len(held_out_nK), step):
            chunk = slice(start, start + step)
            rows_nK = held_out_nK[chunk]
            scores_nN = np.array(scores_of(rows_nK, k))
            at = np.arange(len(rows_nK))
            own_n = scores_nN[at, rows_nK[:, k]]
            row, item = filtered.draw_false(chunk, random)
            true.append(own_n[row])
            false.append(scores_nN[row, item])
            scores_nN[filtered.pairs(chunk)] = -np.inf
            scores_nN[at, rows_nK[:, k]] = own_n
            above = (scores_nN > own_n[:, None]).sum(1)
            equal = (scores_nN == own_n[:, None]).sum(1)
            rank_n[chunk] = above + (equal + 1) / 2
        values = {"mrr": float((1 / rank_n).mean())}
        values |= {f"hits@{k}": float((rank_n <= k).mean()) for k in HITS}
        for metric, value in values.items():
            found.setdefault(metric, []).append(value)
            by_name[f"{metric}/{name}"] = value
    means = {metric: float(np.mean(values)) for metric, values in found.items()}
    return means | _average_precision(np.concatenate(true), np.concatenate(false)) | by_name


def completion_metrics(names: Sequence[str]) -> list[str]:
    """The names of the metrics of `completion`."""
    each = ["mrr", *(f"hits@{k}" for k in HITS)]
    return [*each, "average_precision", *(f"{metric}/{n}" for n in names for metric in each)]


def errors(predicted_n: np.ndarray, value_n: np.ndarray) -> dict[str, float]:
    """RMSE and MAE of predicted values."""
    error_n = predicted_n.astype(np.float64) - value_n
    return {"rmse": float(np.sqrt((error_n**2).mean())), "mae": float(np.abs(error_n).mean())}


def _average_precision(true_n: np.ndarray, false_n: np.ndarray) -> dict[str, float]:
    """The average precision of all scores in one list; none without scores."""
    from sklearn.metrics import average_precision_score  # takes seconds to import

    if not len(true_n):
        return {}
    labels = np.repeat([1, 0], [len(true_n), len(false_n)])
    precision = average_precision_score(labels, np.concatenate([true_n, false_n]))
    return {"average_precision": float(precision)}
