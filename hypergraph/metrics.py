"""How well factors complete hyperedges, or predict their values.

Completion takes each modality in turn: the item is hidden, and every item of the modality is ranked
in its place. Items that would make another known hyperedge are left out (filtered, Bordes et al.,
NeurIPS 2013); equal scores share their mean rank.

Legend: n hyperedges, K arity, N candidates, R width of the factors, g known hyperedges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sklearn.metrics import average_precision_score

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

    Args:
        known: [g, K] each: all hyperedges that are true, of whatever part.
        names, sizes: of the K modalities.
        seed: of the corrupted hyperedges that average precision tells the held-out ones from:
            one for each of them and each modality.

    Returns:
        `mrr` and `hits@k` are means over modalities of `mrr/NAME` and so on.
    """
    known_gK = np.concatenate(list(known))
    found: dict[str, list[float]] = {}
    by_name: dict[str, float] = {}
    true, false = [], []
    random = np.random.default_rng(seed)
    for k, name in enumerate(names):
        rank_n = np.empty(len(held_out_nK))
        step = max(1, CHUNK // sizes[k])
        for start in range(0, len(held_out_nK), step):
            rows_nK = held_out_nK[start : start + step]
            scores_nN = np.array(scores_of(rows_nK, k))
            at = np.arange(len(rows_nK))
            own_n = scores_nN[at, rows_nK[:, k]]
            true.append(own_n)
            false.append(scores_nN[at, random.integers(0, sizes[k], len(rows_nK))])
            _leave_out_known(scores_nN, rows_nK, known_gK, k)
            scores_nN[at, rows_nK[:, k]] = own_n
            above = (scores_nN > own_n[:, None]).sum(1)
            equal = (scores_nN == own_n[:, None]).sum(1)
            rank_n[start : start + step] = above + (equal + 1) / 2
        values = {"mrr": float((1 / rank_n).mean())}
        values |= {f"hits@{k}": float((rank_n <= k).mean()) for k in HITS}
        for metric, value in values.items():
            found.setdefault(metric, []).append(value)
            by_name[f"{metric}/{name}"] = value
    labels = np.repeat([1, 0], [sum(map(len, true)), sum(map(len, false))])
    precision = average_precision_score(labels, np.concatenate(true + false))
    means = {metric: float(np.mean(values)) for metric, values in found.items()}
    return means | {"average_precision": float(precision)} | by_name


def completion_metrics(names: Sequence[str]) -> list[str]:
    """What `completion` gives."""
    each = ["mrr", *(f"hits@{k}" for k in HITS)]
    return [*each, "average_precision", *(f"{metric}/{n}" for n in names for metric in each)]


def errors(predicted_n: np.ndarray, value_n: np.ndarray) -> dict[str, float]:
    """RMSE and MAE of predicted values."""
    error_n = predicted_n.astype(np.float64) - value_n
    return {"rmse": float(np.sqrt((error_n**2).mean())), "mae": float(np.abs(error_n).mean())}


def product_scorer(
    factors: Mapping[str, np.ndarray], biases: Mapping[str, np.ndarray], names: Sequence[str]
) -> Scorer:
    """The scores of the CP model: sum over r of the product of K entries, and the items' biases."""

    def scores_of(indices_nK: np.ndarray, k: int) -> np.ndarray:
        query_nR: np.ndarray | float = 1.0
        shared_n = np.zeros(len(indices_nK), factors[names[k]].dtype)
        for other, name in enumerate(names):
            if other != k:
                query_nR = query_nR * factors[name][indices_nK[:, other]]
                shared_n += biases[name][indices_nK[:, other]]
        return query_nR @ factors[names[k]].T + biases[names[k]] + shared_n[:, None]

    return scores_of


def _leave_out_known(
    scores_nN: np.ndarray, rows_nK: np.ndarray, known_gK: np.ndarray, k: int
) -> None:
    """Set the scores of items that are known to be true in the k-th place to minus infinity."""
    others = [j for j in range(rows_nK.shape[1]) if j != k]
    both = np.concatenate([known_gK[:, others], rows_nK[:, others]])
    _, group = np.unique(both, axis=0, return_inverse=True)
    group_g, group_n = np.split(group.reshape(-1), [len(known_gK)])
    order = np.argsort(group_g, kind="stable")
    begin = np.searchsorted(group_g[order], group_n, "left")
    end = np.searchsorted(group_g[order], group_n, "right")
    row = np.repeat(np.arange(len(rows_nK)), end - begin)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(end - begin) - (end - begin), end - begin)
    item = known_gK[order[np.repeat(begin, end - begin) + offset], k]
    scores_nN[row, item] = -np.inf
