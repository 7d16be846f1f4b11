"""The tables of a hypergraph: their files and columns, as plain values or from YAML."""

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
    """The tables of a modality.

    Attributes:
        edges: table of the links inside the modality, in one direction or both.
        edge_columns: its two id columns; None: usual names such as src and dst, else the first two.
        weight: its column of weights; None: all 1.
        features: table of an id column and columns of numbers (CSV, Parquet), or NPZ of `ids` and
            `feat`, or NPY, whose row i belongs to the integer id i. It must name every item.
        id: the id column of the features; None: one called id, node or node_id, else the first.
        neighbours: a recipe that makes the links, instead of `edges`; its kind is enough.
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
        """The recipe of neighbours; None without one."""
        given = {"kind": self.neighbours} if isinstance(self.neighbours, str) else self.neighbours
        return None if given is None else spec_of(GraphRecipe, given, "neighbours")


@dataclass(frozen=True)
class RelationTables:
    """The tables of a relation.

    Attributes:
        table: one table, or a table for each of train, valid and test.
        columns: modality -> its id column; or a list of modalities whose columns have their names.
        value: column of values; None: hyperedges have no values.
        split: column of the words train, valid and test; only with a single table.
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
    """A dataclass of the given kind from plain values.

    Numbers are valid names: columns without a header are numbered. Raises UserError for unknown
    and missing keys, and for values of another type.
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
            raise UserError(f"{where} lacks a key; it has {list(values)}, valid: {valid}") from None
        key = str(error["loc"][0])
        raise UserError(f"{where}: {key} is {values[key]!r}; {error['msg']}") from None
