"""What says where a hypergraph's tables are: plain values, as a YAML file has them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hvdtma.core.errors import UserError, nearest
from hypergraph.data.intra import GraphRecipe

TablePath: TypeAlias = str | Path
NUMBERS_ARE_NAMES = ConfigDict(coerce_numbers_to_str=True)


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
        neighbours: instead of edges, a recipe to make them by, or its kind alone.
    """

    edges: TablePath | None = None
    edge_columns: Sequence[str] | None = None
    weight: str | None = None
    features: TablePath | None = None
    id: str | None = None
    neighbours: GraphRecipe | Mapping[str, Any] | str | None = None

    __pydantic_config__ = NUMBERS_ARE_NAMES

    @property
    def recipe(self) -> GraphRecipe | None:
        """The recipe of neighbours, if there is one."""
        given = {"kind": self.neighbours} if isinstance(self.neighbours, str) else self.neighbours
        return None if given is None else spec_of(GraphRecipe, given, "neighbours")


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

    __pydantic_config__ = NUMBERS_ARE_NAMES

    @property
    def column_of(self) -> dict[str, str]:
        """Modality -> id column."""
        named = self.columns
        pairs = named.items() if isinstance(named, Mapping) else ((name, name) for name in named)
        return {modality: str(column) for modality, column in pairs}


Spec = TypeVar("Spec", ModalityTables, RelationTables, GraphRecipe)


def spec_of(kind: type[Spec], given: Spec | Mapping[str, Any] | None, where: str) -> Spec:
    """A value of a kind from plain ones.

    Numbers may stand for names: columns without a header have numbers. Raises UserError for
    unknown and missing keys, and for values of another type.
    """
    if isinstance(given, kind):
        return given
    valid = [field.name for field in fields(kind)]
    if not isinstance(given, Mapping | None):
        raise UserError(f"{where} is {given!r}; give keys and values, of {', '.join(valid)}")
    values = dict(given or {})
    for key in values:
        if key not in valid:
            raise UserError(f"{where} has the unknown key '{key}'; {nearest(str(key), valid)}")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as errors:
        error = errors.errors()[0]
        if error["type"] == "missing":
            lacks = f"{where} lacks a key; it has {list(values)}, valid: {valid}"
            raise UserError(lacks) from None
        key = str(error["loc"][0])
        raise UserError(f"{where}: {key} is {values[key]!r}; {error['msg']}") from None
