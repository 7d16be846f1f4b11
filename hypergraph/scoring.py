"""What is held out of a relation, and how factors score on it.

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
    """Hyperedges to score on, and what is known besides.

    Attributes:
        relation: the held-out hyperedges.
        known: hyperedges of the relation that are true, of whatever part.
        mean: of the training values, for valued relations.
    """

    relation: Relation
    known: Sequence[np.ndarray] = ()
    mean: float = 0.0

    def sample(self, most: int, seed: int) -> HeldOutHyperedges:
        """At most so many of the hyperedges, the same ones for a seed; 0 takes all."""
        count = self.relation.num_hyperedges
        if not most or count <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(count)[:most])
        return HeldOutHyperedges(
            self.relation.take(rows), (*self.known, self.relation.indices), self.mean
        )

    @property
    def metric(self) -> str:
        """The metric that chooses, where the config names none."""
        return "mrr" if self.relation.values is None else "rmse"

    @property
    def metrics(self) -> list[str]:
        """Those that `score` gives."""
        if self.relation.values is not None:
            return ["rmse", "mae"]
        return completion_metrics(self.relation.modalities)


def score(factors: Factors, held_out: HeldOutHyperedges) -> dict[str, float]:
    """RMSE and MAE of valued hyperedges; filtered MRR, Hits@k and average precision of others."""
    relation = held_out.relation
    names = relation.modalities
    if relation.values is not None:
        return errors(predict(factors, relation) + held_out.mean, relation.values)
    known = [relation.indices, *held_out.known]
    sizes = [len(factors.rows[name]) for name in names]
    return completion(cp_scorer(factors, relation), relation.indices, known, names, sizes)


def predict(factors: Factors, relation: Relation) -> np.ndarray:
    """Scores [n] of a relation's hyperedges, without the mean.

    Of the CP model: the sum over R of the product of K entries, and the items' biases.
    """
    product_nR, bias_n = _product(factors, relation, relation.indices, range(relation.arity))
    return product_nR.sum(1) + bias_n


def cp_scorer(factors: Factors, relation: Relation) -> Scorer:
    """The same scores, [n, N_k], with every item of the k-th modality in its place.

    Items of equal rows and biases, as those that nothing is known of, have equal scores: a matrix
    product by itself leaves some a rounding above others.
    """
    names, biases = relation.modalities, factors.biases[relation.name]
    repeats = [_repeats(np.column_stack([factors.rows[n], biases[n]])) for n in names]

    def scores_of(indices_nK: np.ndarray, k: int) -> np.ndarray:
        others = [place for place in range(relation.arity) if place != k]
        query_nR, bias_n = _product(factors, relation, indices_nK, others)
        score_nN = query_nR @ factors.rows[names[k]].T + biases[names[k]] + bias_n[:, None]
        again, first = repeats[k]
        score_nN[:, again] = score_nN[:, first]
        return score_nN

    return scores_of


def _repeats(values_NX: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that came before, and for each the first that it is equal to; N log N."""
    rows_NX = np.ascontiguousarray(values_NX)
    row_N = rows_NX.view(np.dtype((np.void, rows_NX.strides[0]))).reshape(-1)
    _, first, which_N = np.unique(row_N, return_index=True, return_inverse=True)
    first_N = first[which_N.reshape(-1)]
    again = np.flatnonzero(first_N != np.arange(len(first_N)))
    return again, first_N[again]


def _product(
    factors: Factors, relation: Relation, indices_nK: np.ndarray, places: Iterable[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Over some of a hyperedge's places: the product of the rows [n, R], the sum of biases [n]."""
    named = [(relation.modalities[place], indices_nK[:, place]) for place in places]
    rows = [factors.rows[name][index_n] for name, index_n in named]
    biases = [factors.biases[relation.name][name][index_n] for name, index_n in named]
    return reduce(np.multiply, rows), reduce(np.add, biases)


def held_out(part: Relation, train: Relation, *others: Relation) -> HeldOutHyperedges:
    """A held-out part of a relation, all of which is known to the filter."""
    return HeldOutHyperedges(
        part, [train.indices, *(other.indices for other in others)], train.mean
    )
