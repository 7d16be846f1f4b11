"""What a model was trained on before: nothing that is held out of it later may be among it.

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
    """What a model was trained on.

    Attributes:
        trained_on: each hyperedge once, without values; a relation that was of other modalities
            once is in it twice.
        means: of each relation with values, their mean: biases and products are learned beside it,
            and predictions are those together, whatever the data are later.
    """

    trained_on: Sequence[Relation] = ()
    means: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, relations: Iterable[Relation], before: TrainingHistory) -> TrainingHistory:
        """That of a model trained on these relations, from the means of what it began with."""
        all_ = list(relations)
        valued = [each for each in all_ if each.values is not None]
        return cls(_joined(all_), {each.name: before.mean_of(each) for each in valued})

    @property
    def modalities(self) -> set[str]:
        """Those that something was learned of."""
        return {name for relation in self.trained_on for name in relation.modalities}

    def and_then(self, later: TrainingHistory) -> TrainingHistory:
        """Both, with the later's means."""
        return TrainingHistory(
            _joined([*self.trained_on, *later.trained_on]), {**self.means, **later.means}
        )

    def mean_of(self, relation: Relation) -> float:
        """What a relation's values are learned from: their mean, or that of those before."""
        if relation.values is None:
            return 0.0
        known = self.means.get(relation.name)
        return relation.mean if known is None else known

    def facts(self) -> dict[str, Any]:
        """What is written beside `tensors`, as plain values."""
        trained_on = [[each.name, each.modalities] for each in self.trained_on]
        return {"trained_on": trained_on, "means": dict(self.means)}

    def tensors(self) -> dict[str, torch.Tensor]:
        """The number of a relation -> its hyperedges, int32 [n, K]: memory has no room for more."""
        return {
            str(number): torch.from_numpy(each.indices).int()
            for number, each in enumerate(self.trained_on)
        }

    @classmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> TrainingHistory:
        """What `facts` and `tensors` gave."""
        trained_on = [
            Relation(name, tuple(modalities), tensors[str(number)].numpy())
            for number, (name, modalities) in enumerate(facts["trained_on"])
        ]
        return cls(trained_on, facts["means"])


def _joined(relations: Iterable[Relation]) -> list[Relation]:
    """Each hyperedge once, without values, by name and modalities of the relation."""
    rows: dict[tuple[str, tuple[str, ...]], list[np.ndarray]] = {}
    for each in relations:
        rows.setdefault((each.name, each.modalities), []).append(each.indices)
    return [Relation(*kind, np.concatenate(found)) for kind, found in rows.items()]


def check_not_trained_on(part: Relation, split: Split, past: TrainingHistory) -> None:
    """Raises UserError if hyperedges of a held-out part were trained on before.

    Relations are the same by name. One may have been of other modalities then (one more joined it
    since): what is compared is the items of those that it had then and has now, two at least, and
    what the present training hyperedges say of these as well gives nothing away.
    """
    train = split.train.relation(split.relation)
    told_n = np.zeros(part.num_hyperedges, bool)
    for before in past.trained_on:
        shared = [name for name in part.modalities if name in before.modalities]
        if before.name != part.name or len(shared) < 2:
            continue
        of = [np.stack([r.column(n) for n in shared], 1) for r in (part, train, before)]
        keys = row_keys(np.concatenate(of))
        key_n, now, then = np.split(keys, np.cumsum([len(rows) for rows in of[:2]]))
        told_n |= np.isin(key_n, then) & ~np.isin(key_n, now)
    if told_n.any():
        raise UserError(
            f"{told_n.sum():,} of {len(told_n):,} hyperedges held out of '{part.name}' were "
            "trained on by the model that was loaded or begun with: the data or the split are "
            "others now, and scores would be too good; hold out what was held out then, for "
            "example by a split that comes with the data, or train anew"
        )
