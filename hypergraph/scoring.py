"""What is held out of a relation, and how factors score on it.

Legend: n hyperedges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypergraph.data import Relation
from hypergraph.metrics import completion, completion_metrics, errors, product_scorer
from hypergraph.train.learner import Factors


@dataclass(frozen=True)
class HeldOut:
    """Hyperedges to score on, and what is known besides.

    Attributes:
        relation: the held-out hyperedges.
        known: hyperedges of the relation that are true, of whatever part.
        mean: of the training values, for valued relations.
    """

    relation: Relation
    known: Sequence[np.ndarray] = ()
    mean: float = 0.0

    def sample(self, most: int, seed: int) -> HeldOut:
        """At most so many of the hyperedges, the same ones for a seed; 0 takes all."""
        count = self.relation.num_hyperedges
        if not most or count <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(count)[:most])
        return HeldOut(self.relation.take(rows), (*self.known, self.relation.indices), self.mean)

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


def score(factors: Factors, held_out: HeldOut) -> dict[str, float]:
    """RMSE and MAE of valued hyperedges; filtered MRR, Hits@k and average precision of others."""
    relation = held_out.relation
    names = relation.modalities
    scores_of = product_scorer(factors.rows, factors.biases[relation.name], names)
    if relation.values is not None:
        return errors(predict(factors, relation) + held_out.mean, relation.values)
    known = [relation.indices, *held_out.known]
    sizes = [len(factors.rows[name]) for name in names]
    return completion(scores_of, relation.indices, known, names, sizes)


def predict(factors: Factors, relation: Relation) -> np.ndarray:
    """Scores [n] of a relation's hyperedges, without the mean."""
    product: np.ndarray | float = 1.0
    bias_n = np.zeros(relation.num_hyperedges)
    for k, name in enumerate(relation.modalities):
        product = product * factors.rows[name][relation.indices[:, k]]
        bias_n += factors.biases[relation.name][name][relation.indices[:, k]]
    return np.asarray(product).sum(1) + bias_n


def held_out(part: Relation, train: Relation, *others: Relation) -> HeldOut:
    """A held-out part of a relation, all of which is known to the filter."""
    return HeldOut(part, [train.indices, *(other.indices for other in others)], train.mean)
