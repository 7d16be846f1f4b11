"""Several modalities and the relations across them: the data that HyperLearn learns from.

Legend: N items, B relations that a modality is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError, nearest
from hypergraph.data import store
from hypergraph.data.content import checksum
from hypergraph.data.intra import GraphRecipe, Intra
from hypergraph.data.lazy import as_given, is_unread
from hypergraph.data.modality import Modality
from hypergraph.data.neighbours import nearest_items
from hypergraph.data.relation import Relation
from hypergraph.data.summary import degrees, summary


@dataclass(frozen=True, eq=False, repr=False)
class MultimodalHypergraph:
    """Modalities and relations by name. Immutable: the `with_...` methods return changed copies.

    Raises UserError if there is no modality or no relation, for a relation without hyperedges or
    with an unknown modality, and for a hyperedge with an item that does not exist.
    """

    modalities: Mapping[str, Modality]
    relations: Mapping[str, Relation]

    def __post_init__(self) -> None:
        for field, kind in (("modalities", "modality"), ("relations", "relation")):
            named = dict(getattr(self, field))
            if not named:
                raise UserError(f"a hypergraph needs at least one {kind}")
            for name, value in named.items():
                if name != value.name:
                    raise UserError(f"{kind} '{value.name}' is given as '{name}'; use one name")
            object.__setattr__(self, field, named)
        for relation in self.relations.values():
            self._check(relation)

    @classmethod
    def of(
        cls, modalities: Iterable[Modality], relations: Iterable[Relation]
    ) -> MultimodalHypergraph:
        """A hypergraph of modalities and relations; raises UserError if two have the same name."""
        return cls(_by_name(modalities, "modality"), _by_name(relations, "relation"))

    @classmethod
    def open(cls, path: str | Path) -> MultimodalHypergraph:
        """Open a saved hypergraph; arrays are read on first access. See `store.open_saved`."""
        return cls.of(*store.open_saved(path))

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the hypergraph as a Zarr group; see `store.save`."""
        return store.save(self.modalities, self.relations, path, overwrite=overwrite)

    def __repr__(self) -> str:
        items = ", ".join(f"{m.name} {m.num_items:,}" for m in self.modalities.values())
        return f"MultimodalHypergraph({items}; {', '.join(map(repr, self.relations.values()))})"

    @property
    def sizes(self) -> dict[str, int]:
        """Modality -> number of items."""
        return {name: modality.num_items for name, modality in self.modalities.items()}

    @property
    def relation_names(self) -> dict[str, tuple[str, ...]]:
        """Modality -> the names of the relations that it is in."""
        return {
            name: tuple(relation.name for relation in self.relations_of(name))
            for name in self.modalities
        }

    def modality(self, name: str) -> Modality:
        """A modality by name; raises UserError, listing the valid names, for an unknown one."""
        return _named(self.modalities, name, "modality")

    def relation(self, name: str) -> Relation:
        """A relation by name; raises UserError, listing the valid names, for an unknown one."""
        return _named(self.relations, name, "relation")

    def relations_of(self, modality: str) -> list[Relation]:
        """The relations that a modality is in."""
        return [r for r in self.relations.values() if modality in r.modalities]

    def seen(self, modality: str) -> np.ndarray:
        """Bool [N, B]: which items have a hyperedge in each relation of `relations_of`."""
        relations = self.relations_of(modality)
        seen_NB = np.zeros((self.modality(modality).num_items, len(relations)), bool)
        for number, relation in enumerate(relations):
            seen_NB[relation.column(modality), number] = True
        return seen_NB

    def degrees(self, modality: str) -> np.ndarray:
        """The number of hyperedges of each item, over all relations, int64 [N]."""
        return degrees(self.modality(modality), self.relations)

    def with_modality(self, modality: Modality) -> MultimodalHypergraph:
        """A copy with a modality added, or replaced if the name exists.

        Raises UserError if it has too few items for the hyperedges of a relation.
        """
        changed = replace(self, modalities={**self.modalities, modality.name: modality})
        before = self.modalities.get(modality.name)
        if before is not None and modality.num_items < before.num_items:
            for relation in self.relations_of(modality.name):
                changed._check_items(relation)
        return changed

    def with_relation(self, relation: Relation) -> MultimodalHypergraph:
        """A copy with a relation added, or replaced if the name exists.

        Raises UserError for a relation without hyperedges, or with an unknown modality or item.
        """
        changed = replace(self, relations={**self.relations, relation.name: relation})
        if is_unread(relation, "indices"):  # it may be of another saved hypergraph
            changed._check_items(relation)
        return changed

    def with_intra(self, name: str, intra: Intra | GraphRecipe | None) -> MultimodalHypergraph:
        """A copy with another graph inside a modality: as given, made by a recipe, or none.

        Raises UserError for an unknown modality, for edges of items that do not exist, and as
        `make_intra`.
        """
        if isinstance(intra, GraphRecipe):
            intra = self.make_intra(name, intra)
        its = self.modality(name)
        ids, features = as_given(its, "ids"), as_given(its, "features")  # unread ones stay unread
        return self.with_modality(Modality(name, its.num_items, ids, features, intra))

    def make_intra(self, name: str, recipe: GraphRecipe) -> Intra:
        """The graph that a recipe makes inside a modality.

        Raises UserError for an unknown modality, and if the recipe needs features or relations
        that the modality does not have.
        """
        return nearest_items(self.modality(name), self.relations_of(name), self.sizes, recipe)

    def checksum(self) -> str:
        """A checksum of all content, the same on every machine."""
        return checksum(self.modalities, self.relations)

    def summary(self) -> dict[str, Any]:
        """Sizes, degrees and densities; see `summary.summary`."""
        return summary(self.modalities, self.relations)

    def _check(self, relation: Relation) -> None:
        where, valid = f"relation '{relation.name}'", list(self.modalities)
        for name in relation.modalities:
            if name not in self.modalities:
                raise UserError(f"{where} names the modality '{name}'; {nearest(name, valid)}")
        if not relation.num_hyperedges:
            raise UserError(f"{where} has no hyperedges; leave it out, or give it some")
        if not is_unread(relation, "indices"):  # else it was checked before it was saved
            self._check_items(relation)

    def _check_items(self, relation: Relation) -> None:
        """Read the relation; raises UserError for an item that does not exist."""
        where = f"relation '{relation.name}'"
        for name, items in zip(relation.modalities, relation.indices.T, strict=True):
            num_items = self.modalities[name].num_items
            if items.min() < 0 or items.max() >= num_items:
                row = int(np.argmax((items < 0) | (items >= num_items)))
                raise UserError(
                    f"{where}: hyperedge {row} has item {items[row]} of modality '{name}', whose "
                    f"items are 0 to {num_items - 1}"
                )


def _named(values: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in values:
        raise UserError(f"there is no {kind} '{name}'; {nearest(name, list(values))}")
    return values[name]


def _by_name(values: Iterable[Any], kind: str) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for value in values:
        if value.name in named:
            raise UserError(f"two {kind} objects are named '{value.name}'; give each its own name")
        named[value.name] = value
    return named
