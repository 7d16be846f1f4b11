"""What says where a hypergraph's tables are: plain values, as a YAML file has them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from hvdtma.errors import UserError, nearest
from hypergraph.data.intra import Recipe

TablePath: TypeAlias = str | Path


@dataclass(frozen=True)
class ModalityTables:
    """What is known of a modality beside the relations that name its items.

    Attributes:
        edges: table of the links inside, in either direction or both.
        edge_columns: its two id columns; None: usual names such as src and dst, else the first two.
        weight: its column of weights, or None.
        features: table of an id column and columns of numbers (CSV, Parquet), or NPZ of `ids` and
            `feat`, or NPY, whose row i belongs to the integer id i. It names every item.
        id: the id column of features; None: one called id, node or node_id, else the first.
        neighbours: instead of edges, a recipe to make them by.
    """

    edges: TablePath | None = None
    edge_columns: Sequence[str] | None = None
    weight: str | None = None
    features: TablePath | None = None
    id: str | None = None
    neighbours: Recipe | Mapping[str, Any] | None = None

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of neighbours, if there is one."""
        if isinstance(self.neighbours, Mapping):
            return spec_of(Recipe, self.neighbours, "neighbours")
        return self.neighbours


@dataclass(frozen=True)
class RelationTables:
    """Where a relation's hyperedges are.

    Attributes:
        table: one table, or one for each of train, valid and test.
        columns: modality -> its id column; a list where columns are called as modalities are.
        value: column of values; None: hyperedges are present, others absent.
        split: column that says train, valid or test; not beside several tables.
    """

    table: TablePath | Mapping[str, TablePath]
    columns: Mapping[str, str] | Sequence[str]
    value: str | None = None
    split: str | None = None

    @property
    def column_of(self) -> dict[str, str]:
        """Modality -> id column."""
        named = self.columns
        pairs = named.items() if isinstance(named, Mapping) else ((name, name) for name in named)
        return {modality: str(column) for modality, column in pairs}


Spec = TypeVar("Spec", ModalityTables, RelationTables, Recipe)


def spec_of(kind: type[Spec], given: Spec | Mapping[str, Any] | None, where: str) -> Spec:
    """A value of a kind from plain ones; raises UserError for unknown and missing keys."""
    if given is not None and not isinstance(given, Mapping):
        return given
    values = dict(given or {})
    valid = [field.name for field in fields(kind)]
    for key in values:
        if key not in valid:
            raise UserError(f"{where} has the unknown key '{key}'; {nearest(str(key), valid)}")
    try:
        return kind(**values)
    except TypeError:
        raise UserError(f"{where} lacks a key; it has {list(values)}, valid: {valid}") from None
