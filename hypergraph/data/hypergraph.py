"""Several modalities and the relations across them: what HyperLearn learns from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError, nearest
from hypergraph.data.intra import GraphRecipe, Intra
from hypergraph.data.lazy import as_given, is_unread
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation


@dataclass(frozen=True, eq=False, repr=False)
class MultimodalHypergraph:
    """Modalities and relations by name; a value, which `with_...` make changed copies of.

    Raises UserError for no modality, no relation, a relation without hyperedges, one that names an
    unknown modality, and for a hyperedge with an item that does not exist.
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
        """The hypergraph of values that carry their names; raises UserError for a repeated one."""
        return cls(_by_name(modalities, "modality"), _by_name(relations, "relation"))

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
        """A modality; raises UserError, listing them, for an unknown name."""
        return _named(self.modalities, name, "modality")

    def relation(self, name: str) -> Relation:
        """A relation; raises UserError, listing them, for an unknown name."""
        return _named(self.relations, name, "relation")

    def relations_of(self, modality: str) -> list[Relation]:
        """The relations that a modality is in."""
        return [r for r in self.relations.values() if modality in r.modalities]

    def seen(self, modality: str) -> np.ndarray:
        """Bool [N, B]: which items have a hyperedge in each of the relations of `relations_of`."""
        relations = self.relations_of(modality)
        seen_NB = np.zeros((self.modality(modality).num_items, len(relations)), bool)
        for number, relation in enumerate(relations):
            seen_NB[relation.column(modality), number] = True
        return seen_NB

    def with_modality(self, modality: Modality) -> MultimodalHypergraph:
        """The same with a modality more, or another one of that name.

        Raises UserError where that one has too few items for the hyperedges of a relation.
        """
        changed = replace(self, modalities={**self.modalities, modality.name: modality})
        before = self.modalities.get(modality.name)
        if before is not None and modality.num_items < before.num_items:
            for relation in self.relations_of(modality.name):
                changed._check_items(relation)
        return changed

    def with_relation(self, relation: Relation) -> MultimodalHypergraph:
        """The same with a relation more, or another one of that name.

        Raises UserError where it has no hyperedges, or names what is no modality or item.
        """
        changed = replace(self, relations={**self.relations, relation.name: relation})
        if is_unread(relation, "indices"):  # of another hypergraph, say
            changed._check_items(relation)
        return changed

    def with_intra(self, name: str, intra: Intra | GraphRecipe | None) -> MultimodalHypergraph:
        """The same with another graph inside a modality: given, made by a recipe, or none.

        Raises UserError for an unknown modality, for edges of what is no item, and where the
        modality has not what the recipe asks for: features, or a relation that it is in.
        """
        from hypergraph.data.neighbours import make_intra

        if isinstance(intra, GraphRecipe):
            intra = make_intra(self, name, intra)
        return self.with_modality(replace_intra(self.modality(name), intra))

    def checksum(self) -> str:
        """One checksum of all content, the same on every machine."""
        from hypergraph.data.content import checksum

        return checksum(self)

    def summary(self) -> dict[str, Any]:
        """Sizes, degrees and densities; see `summary.summary`."""
        from hypergraph.data.summary import summary

        return summary(self)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write it as a Zarr group; see `store.save`."""
        from hypergraph.data.store import save

        return save(self, path, overwrite=overwrite)

    @staticmethod
    def open(path: str | Path) -> MultimodalHypergraph:
        """Open what `save` wrote; arrays are read when first asked for. See `store.open_saved`."""
        from hypergraph.data.store import open_saved

        return open_saved(path)

    def _check(self, relation: Relation) -> None:
        where, valid = f"relation '{relation.name}'", list(self.modalities)
        for name in relation.modalities:
            if name not in self.modalities:
                raise UserError(f"{where} names the modality '{name}'; {nearest(name, valid)}")
        if not relation.num_hyperedges:
            raise UserError(f"{where} has no hyperedges; leave it out, or give it some")
        if not is_unread(relation, "indices"):  # else it was checked when it was saved
            self._check_items(relation)

    def _check_items(self, relation: Relation) -> None:
        """Raises UserError for an item that does not exist; reads the relation."""
        where = f"relation '{relation.name}'"
        for name, items in zip(relation.modalities, relation.indices.T, strict=True):
            num_items = self.modalities[name].num_items
            if items.min() < 0 or items.max() >= num_items:
                row = int(np.argmax((items < 0) | (items >= num_items)))
                raise UserError(
                    f"{where}: hyperedge {row} has item {items[row]} of modality '{name}', whose "
                    f"items are 0 to {num_items - 1}"
                )


def replace_intra(modality: Modality, intra: Intra | None) -> Modality:
    """The same modality with another graph inside; what is unread stays so."""
    ids, features = as_given(modality, "ids"), as_given(modality, "features")
    return Modality(modality.name, modality.num_items, ids, features, intra)


def _named(values: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in values:
        raise UserError(f"there is no {kind} '{name}'; {nearest(name, list(values))}")
    return values[name]


def _by_name(values: Iterable[Any], kind: str) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for value in values:
        if value.name in named:
            raise UserError(f"there are two of the {kind} '{value.name}'; give each its own name")
        named[value.name] = value
    return named
