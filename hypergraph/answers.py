"""Questions to learned factors: scores of hyperedges, completions, similar items.

Legend: N items, R width of the factors, n hyperedges, K arity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hvdtma.core.bounds import check_whole
from hvdtma.core.errors import UserError
from hypergraph.data import MultimodalHypergraph, Relation
from hypergraph.data.modality import Id
from hypergraph.factors import Factors
from hypergraph.history import TrainingHistory
from hypergraph.scoring import predict

Hyperedge = Mapping[str, Id] | Sequence[Id]


@dataclass(frozen=True)
class Answers:
    """Answers in terms of ids; the methods of `HyperLearn` document arguments and errors.

    Attributes:
        data: the hypergraph with the ids.
        learned: factors and biases.
        history: of the training; it has the means of values.
    """

    data: MultimodalHypergraph
    learned: Factors
    history: TrainingHistory

    def score(self, relation: Relation, hyperedges: Iterable[Hyperedge]) -> np.ndarray:
        """Scores [n], with the mean of values added."""
        if isinstance(hyperedges, Mapping | str):
            raise UserError("score takes a list of hyperedges; put a single one in a list")
        rows = np.array([self._indices(relation, each) for each in hyperedges], np.int64)
        rows_nK = rows.reshape(-1, relation.arity)
        asked = Relation(relation.name, relation.modalities, rows_nK, np.zeros(len(rows)))
        return predict(self.learned, asked) + self.history.mean_of(relation)

    def complete(
        self, relation: Relation, known: Mapping[str, Id], missing: str, top: int
    ) -> list[tuple[Id, float]]:
        """The best items of the missing modality; a modality that is not known gets its mean."""
        for name in (*known, missing):
            relation.position_of(name)
        if missing in known:
            raise UserError(
                f"'{missing}' is missing, but is given as {known[missing]!r}; leave it out of the "
                "known items"
            )
        _check_top(top)
        biases_of = self.learned.biases[relation.name]
        query_R = np.ones(self.learned.rows[missing].shape[1])
        bias = self.history.mean_of(relation)
        for name in relation.modalities:
            if name == missing:
                continue
            rows, biases = self.learned.rows[name], biases_of[name]
            if name in known:
                item = self.data.modality(name).index_of(known[name])
                query_R, bias = query_R * rows[item], bias + float(biases[item])
            else:
                query_R, bias = query_R * rows.mean(0), bias + float(biases.mean())
        score_N = self.learned.rows[missing] @ query_R + biases_of[missing] + bias
        return self._best(missing, score_N, top)

    def similar(self, modality: str, item: Id, across: str, top: int) -> list[tuple[Id, float]]:
        """The nearest items of a modality by cosine, without the item itself."""
        _check_top(top)
        at = self.data.modality(modality).index_of(item)
        own_R = self.learned.rows[modality][at]
        rows_NR = self.learned.rows[self.data.modality(across).name]
        lengths_N = np.linalg.norm(rows_NR, axis=1) * np.linalg.norm(own_R)
        cosine_N = rows_NR @ own_R / np.maximum(lengths_N, 1e-12)
        if across == modality:
            cosine_N[at] = -np.inf
        return self._best(across, cosine_N, min(top, len(cosine_N) - (across == modality)))

    def _indices(self, relation: Relation, hyperedge: Hyperedge) -> list[int]:
        if not isinstance(hyperedge, Mapping):
            hyperedge = _by_modality(relation, hyperedge)
        for name in hyperedge:
            relation.position_of(name)
        absent = [name for name in relation.modalities if name not in hyperedge]
        if absent:
            raise UserError(f"a hyperedge of '{relation.name}' needs an item of '{absent[0]}'")
        return [self.data.modality(n).index_of(hyperedge[n]) for n in relation.modalities]

    def _best(self, name: str, score_N: np.ndarray, top: int) -> list[tuple[Id, float]]:
        modality = self.data.modality(name)
        order = np.argsort(-score_N, kind="stable")[:top]
        return [(modality.id_of(int(at)), float(score_N[at])) for at in order]


def _by_modality(relation: Relation, hyperedge: Sequence[Id]) -> dict[str, Id]:
    """The ids of a hyperedge by modality; raises UserError for another number of ids."""
    names = relation.modalities
    if isinstance(hyperedge, str) or not isinstance(hyperedge, Iterable):
        raise UserError(f"a hyperedge is {hyperedge!r}; give the ids of {', '.join(names)}")
    ids = list(hyperedge)
    if len(ids) != len(names):
        raise UserError(
            f"a hyperedge of '{relation.name}' has {len(ids)} items; it joins {len(names)}: "
            f"{', '.join(names)}"
        )
    return dict(zip(names, ids, strict=True))


def _check_top(top: int) -> None:
    check_whole("top", top, 1)
