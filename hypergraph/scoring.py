"""Scores of factors on held-out hyperedges of a relation.

Legend: n hyperedges, K arity, N_k items of a modality, R width of the factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from hypergraph.data import Relation
from hypergraph.factors import Factors
from hypergraph.metrics import Scorer, completion, completion_metrics, errors


@dataclass(frozen=True)
class HeldOutHyperedges:
    """Hyperedges to score on.

    Attributes:
        relation: the held-out hyperedges.
        true_hyperedges: [g, K] each; true hyperedges of the relation, of any part.
        mean: mean of the training values, for relations with values.
    """

    relation: Relation
    true_hyperedges: Sequence[np.ndarray] = ()
    mean: float = 0.0

    def sample(self, most: int, seed: int) -> HeldOutHyperedges:
        """A sample of at most `most` hyperedges, the same for the same seed; 0 takes all."""
        count = self.relation.num_hyperedges
        if not most or count <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(count)[:most])
        true_hyperedges = (*self.true_hyperedges, self.relation.indices)
        return HeldOutHyperedges(self.relation.take(rows), true_hyperedges, self.mean)

    @property
    def metric(self) -> str:
        """The metric that chooses the best factors if the config names none."""
        return "mrr" if self.relation.values is None else "rmse"

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics of `score`."""
        if self.relation.values is not None:
            return ["rmse", "mae"]
        return completion_metrics(self.relation.modalities)


def score(factors: Factors, held_out: HeldOutHyperedges) -> dict[str, float]:
    """Metric -> value: RMSE and MAE for relations with values, else as `metrics.completion`."""
    relation = held_out.relation
    names = relation.modalities
    if relation.values is not None:
        return errors(predict(factors, relation) + held_out.mean, relation.values)
    sizes = [len(factors.rows[name]) for name in names]
    return completion(
        cp_scorer(factors, relation), relation.indices, held_out.true_hyperedges, names, sizes
    )


def predict(factors: Factors, relation: Relation) -> np.ndarray:
    """Scores [n] of a relation's hyperedges in the CP model, without the mean of values.

    A score is the sum over R of the products of K entries, plus the K biases.
    """
    product_nR, bias_n = _product(factors, relation, relation.indices, range(relation.arity))
    return product_nR.sum(1) + bias_n


def cp_scorer(factors: Factors, relation: Relation) -> Scorer:
    """A scorer: scores [n, N_k] with every item of the k-th modality in the k-th position.

    Items with equal rows and biases, such as unseen items, get equal scores; a matrix product alone
    would leave rounding differences between them.
    """
    names, biases = relation.modalities, factors.biases[relation.name]
    repeats = [_repeats(np.column_stack([factors.rows[n], biases[n]])) for n in names]

    def scores_of(indices_nK: np.ndarray, k: int) -> np.ndarray:
        others = [position for position in range(relation.arity) if position != k]
        query_nR, bias_n = _product(factors, relation, indices_nK, others)
        score_nN = query_nR @ factors.rows[names[k]].T + biases[names[k]] + bias_n[:, None]
        repeated, first = repeats[k]
        score_nN[:, repeated] = score_nN[:, first]
        return score_nN

    return scores_of


def _repeats(values_NX: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The repeated rows, and for each of them the first equal row; takes O(N log N) time."""
    rows_NX = np.ascontiguousarray(values_NX)
    row_N = rows_NX.view(np.dtype((np.void, rows_NX.strides[0]))).reshape(-1)
    _, first, which_N = np.unique(row_N, return_index=True, return_inverse=True)
    first_N = first[which_N.reshape(-1)]
    repeated = np.flatnonzero(first_N != np.arange(len(first_N)))
    return repeated, first_N[repeated]


def _product(
    factors: Factors, relation: Relation, indices_nK: np.ndarray, positions: Iterable[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The product of rows [n, R] and the sum of biases [n] over some positions of hyperedges."""
    named = [(relation.modalities[at], indices_nK[:, at]) for at in positions]
    rows = [factors.rows[name][index_n] for name, index_n in named]
    biases = [factors.biases[relation.name][name][index_n] for name, index_n in named]
    return reduce(np.multiply, rows), reduce(np.add, biases)


def held_out(part: Relation, train: Relation, *others: Relation) -> HeldOutHyperedges:
    """A held-out part of a relation, with the training part and other parts to filter by."""
    return HeldOutHyperedges(
        part, [train.indices, *(other.indices for other in others)], train.mean
    )
