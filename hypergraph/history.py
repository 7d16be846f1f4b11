"""The hyperedges that a model was trained on. None of them may be held out.

Legend: n hyperedges, K arity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hvdtma.core.errors import UserError
from hypergraph.data import Relation, Split
from hypergraph.data.checks import row_keys


@dataclass(frozen=True)
class TrainingHistory:
    """The hyperedges that a model was trained on, and the means of their values.

    Attributes:
        trained_on: relations without values, each hyperedge once. A relation that had other
            modalities in the past is listed twice.
        means: relation -> mean of its values. Biases and products are learned as deviations from
            this mean, which is added to predictions even if the values of the data change later.
    """

    trained_on: Sequence[Relation] = ()
    means: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, relations: Iterable[Relation], before: TrainingHistory) -> TrainingHistory:
        """The history of training on some relations, with the means of an earlier history."""
        all_ = list(relations)
        valued = [each for each in all_ if each.values is not None]
        return cls(_merged(all_), {each.name: before.mean_of(each) for each in valued})

    @property
    def modalities(self) -> set[str]:
        """The modalities that were trained."""
        return {name for relation in self.trained_on for name in relation.modalities}

    def followed_by(self, later: TrainingHistory) -> TrainingHistory:
        """Both histories, with the means of the later one."""
        return TrainingHistory(
            _merged([*self.trained_on, *later.trained_on]), {**self.means, **later.means}
        )

    def mean_of(self, relation: Relation) -> float:
        """The mean that a relation's values are learned from: the earlier one, else their own."""
        if relation.values is None:
            return 0.0
        return self.means.get(relation.name, relation.mean)

    def facts(self) -> dict[str, Any]:
        """The names and means as plain values, to be saved with `tensors`."""
        trained_on = [[each.name, each.modalities] for each in self.trained_on]
        return {"trained_on": trained_on, "means": dict(self.means)}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Number of a relation -> its hyperedges, int32 [n, K] to save memory."""
        return {
            str(number): torch.from_numpy(each.indices).int()
            for number, each in enumerate(self.trained_on)
        }

    @classmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> TrainingHistory:
        """The history that `facts` and `tensors` were saved from."""
        trained_on = [
            Relation(name, tuple(modalities), tensors[str(number)].numpy())
            for number, (name, modalities) in enumerate(facts["trained_on"])
        ]
        return cls(trained_on, facts["means"])


def _merged(relations: Iterable[Relation]) -> list[Relation]:
    """Relations of the same name and modalities as one, without values; each hyperedge once."""
    rows: dict[tuple[str, tuple[str, ...]], list[np.ndarray]] = {}
    for each in relations:
        rows.setdefault((each.name, each.modalities), []).append(each.indices)
    return [Relation(*kind, np.concatenate(found)) for kind, found in rows.items()]


def check_not_trained_on(part: Relation, split: Split, history: TrainingHistory) -> None:
    """Raises UserError if hyperedges of a held-out part were trained on before.

    Relations of the same name are compared. A relation may have had other modalities: then the
    items of the modalities that it had then and has now (at least two) are compared. Hyperedges
    whose compared items are also in the present training part are no leak.
    """
    train = split.train.relation(split.relation)
    leaked_n = np.zeros(part.num_hyperedges, bool)
    for before in history.trained_on:
        shared = [name for name in part.modalities if name in before.modalities]
        if before.name != part.name or len(shared) < 2:
            continue
        of = [np.stack([r.column(n) for n in shared], 1) for r in (part, train, before)]
        keys = row_keys(np.concatenate(of))
        key_n, now, then = np.split(keys, np.cumsum([len(rows) for rows in of[:2]]))
        leaked_n |= np.isin(key_n, then) & ~np.isin(key_n, now)
    if leaked_n.any():
        raise UserError(
            f"{leaked_n.sum():,} of {len(leaked_n):,} hyperedges held out of '{part.name}' were "
            "trained on by the loaded model: the data or the split have changed since, and scores "
            "would be too good. Hold out the same hyperedges as then, for example by a split that "
            "comes with the data, or train a new model"
        )
