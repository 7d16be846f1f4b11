"""How well factors complete hyperedges, or predict their values.

Completion takes each modality in turn: the item is hidden, and every item of the modality is ranked
in its place. Items that would make another known hyperedge are left out (filtered, Bordes et al.,
NeurIPS 2013); equal scores share their mean rank.

Average precision is of telling true hyperedges from false ones by score alone: each query, that is
a held-out hyperedge with the item of one modality hidden, gives its true score, and the score with
one false item in that place, drawn from those that make no known hyperedge. All of them, of all
queries and all modalities, are sorted into one list, so scores must be comparable between queries
too: ranks that are all 1 do not make it 1. As many are false as true: chance is 0.5.

Legend: n hyperedges, K arity, N candidates, g known hyperedges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import average_precision_score

from hypergraph.filtering import FilteredItems

HITS = (1, 10, 50)
LEAST_IS_BEST = ("rmse", "mae")  # of all other metrics, most is
CHUNK = 1 << 24  # scores held at once

Scorer = Callable[[np.ndarray, int], np.ndarray]
"""(indices [n, K], k) -> scores [n, N_k] of every item of the k-th modality in the k-th place."""


def completion(
    scores_of: Scorer,
    held_out_nK: np.ndarray,
    known: Sequence[np.ndarray],
    names: Sequence[str],
    sizes: Sequence[int],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Filtered MRR and Hits@k, over all modalities and for each, and average precision.

    Costs the scores, n N_k of each modality, and (g + n) log n once for each.

    Args:
        known: [g, K] each: all hyperedges that are true, of whatever part; the held-out ones are
            in any case.
        names, sizes: of the K modalities.
        seed: of the false items of average precision.

    Returns:
        `mrr` and `hits@k` are means over modalities of `mrr/NAME` and so on. `average_precision`
        is left out where no query has a false item.
    """
    known_gK = np.concatenate([held_out_nK, *known])
    found: dict[str, list[float]] = {}
    by_name: dict[str, float] = {}
    true, false = [], []
    random = np.random.default_rng(seed)
    for k, name in enumerate(names):
        known_items = FilteredItems.of(held_out_nK, known_gK, k, sizes[k])
        rank_n = np.empty(len(held_out_nK))
        step = max(1, CHUNK // sizes[k])
        for start in range(0, len(held_out_nK), step):
            chunk = slice(start, start + step)
            rows_nK = held_out_nK[chunk]
            scores_nN = np.array(scores_of(rows_nK, k))
            at = np.arange(len(rows_nK))
            own_n = scores_nN[at, rows_nK[:, k]]
            row, item = known_items.draw_false(chunk, random)
            true.append(own_n[row])
            false.append(scores_nN[row, item])
            scores_nN[known_items.pairs(chunk)] = -np.inf
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
    """What `completion` gives."""
    each = ["mrr", *(f"hits@{k}" for k in HITS)]
    return [*each, "average_precision", *(f"{metric}/{n}" for n in names for metric in each)]


def errors(predicted_n: np.ndarray, value_n: np.ndarray) -> dict[str, float]:
    """RMSE and MAE of predicted values."""
    error_n = predicted_n.astype(np.float64) - value_n
    return {"rmse": float(np.sqrt((error_n**2).mean())), "mae": float(np.abs(error_n).mean())}


def _average_precision(true_n: np.ndarray, false_n: np.ndarray) -> dict[str, float]:
    """Of all scores in one list; nothing where there are none."""
    if not len(true_n):
        return {}
    labels = np.repeat([1, 0], [len(true_n), len(false_n)])
    precision = average_precision_score(labels, np.concatenate([true_n, false_n]))
    return {"average_precision": float(precision)}
