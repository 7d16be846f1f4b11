"""A modality's items from its tables, and where each of their ids stands.

Legend: N items, E edges, n ids asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.errors import UserError
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import Column
from hvdtma.tables.text_layout import usual_columns
from hypergraph.data.columns import as_ids, as_numbers, column_names, of_one_kind, read_columns
from hypergraph.data.feature_table import read_feature_table
from hypergraph.data.intra import Intra
from hypergraph.data.modality import Features, Modality
from hypergraph.data.table_specs import ModalityTables


@dataclass(frozen=True)
class Ids:
    """A column of ids [n], int64 or large_string, and where it is from."""

    where: str
    values: Column

    @classmethod
    def joined(cls, columns: Sequence[Ids]) -> Ids:
        """Several columns as one, all integers or all strings."""
        kinds = of_one_kind(column.values for column in columns)
        chunks = [chunk for column in kinds for chunk in column.chunks]
        return cls(columns[0].where, pa.chunked_array(chunks))


@dataclass(frozen=True)
class Items:
    """A modality, its ids, and what said which they are."""

    modality: Modality
    ids: NodeIds
    source: str

    def positions(self, wanted: Ids) -> np.ndarray:
        """Positions int64 [n]; raises UserError for an id that is no item."""
        ids = wanted.values
        if self.ids.are_strings:
            ids = ids.cast(pa.large_string())
        known = ids.type == self.ids.values.type
        found = self.ids.lookup(ids) if known else np.full(len(ids), -1, np.int64)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            first = ids[int(missing[0])].as_py()
            lacking = (ids[int(at)].as_py() for at in missing)
            odd = None if known else next((id_ for id_ in lacking if not _is_integer(id_)), None)
            try:
                self.modality.index_of(first if odd is None else odd)
            except UserError as error:
                raise UserError(
                    f"{wanted.where}: {error}. Its items are those of '{self.source}': add a row "
                    "there, or leave this one out"
                ) from None
        return found


def read_items(name: str, spec: ModalityTables, named: Sequence[Ids]) -> Items:
    """The items that features name, or else all that are named by relations and edges.

    Raises UserError where there are none, and for edges between what is no item.
    """
    if spec.edges is not None and spec.neighbours is not None:
        raise UserError(f"modality '{name}' has both edges and neighbours; keep one")
    for key, of in (("edge_columns", "edges"), ("weight", "edges"), ("id", "features")):
        if getattr(spec, key) is not None and getattr(spec, of) is None:
            raise UserError(f"modality '{name}' has '{key}' without '{of}'; give both, or neither")
    ends, weights = _read_edges(name, spec)
    if spec.features is not None:
        table = read_feature_table(Path(spec.features), spec.id)
        items = _items(name, table.ids, str(spec.features), table.counted, table.features)
    elif named or ends:
        ids = NodeIds.of(pc.unique(Ids.joined([*named, *ends]).values))
        items = _items(name, ids, "its relations and edges")
    else:
        raise UserError(
            f"modality '{name}' has no items: no relation names it, and it has neither edges nor "
            "features"
        )
    if not ends:
        return items
    pairs_E2 = np.stack([items.positions(end) for end in ends], 1)
    return replace(items, modality=replace(items.modality, intra=Intra.of(pairs_E2, weights)))


def _is_integer(id_: int | str) -> bool:
    """Whether it is one, or looks as a program writes one: what is none made strings of all."""
    try:
        return str(int(id_)) == str(id_)
    except ValueError:
        return False


def _items(
    name: str,
    ids: NodeIds,
    source: str,
    counted: bool = False,
    features: Features | None = None,
) -> Items:
    known = None if counted else np.array(ids.to_list())
    return Items(Modality(name, len(ids), known, features), ids, source)


def _read_edges(name: str, spec: ModalityTables) -> tuple[list[Ids], np.ndarray | None]:
    """The two columns of ids [E] of the edges, and their weights [E]."""
    if spec.edges is None:
        return [], None
    path = Path(spec.edges)
    ends = [str(column) for column in spec.edge_columns or ()]
    more = [] if spec.weight is None else [spec.weight]
    if not ends:
        names = column_names(path, more)
        ends = [names[at] for at in usual_columns(names) or (0, 1)]
    if len(ends) != 2:
        raise UserError(f"edge_columns of modality '{name}' are {ends}; it must be two")
    columns = read_columns(path, [*ends, *more])
    where = [f"column '{column}' of '{path}'" for column in (*ends, *more)]
    ids = [Ids(where[at], as_ids(columns[at], where[at])) for at in range(2)]
    return ids, as_numbers(columns[2], where[2]) if more else None
