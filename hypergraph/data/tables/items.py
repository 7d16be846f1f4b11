"""The items of a modality from its tables, and the positions of their ids.

Legend: N items, E edges, n ids to look up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import Column, usual_ends
from hypergraph.data.intra import Intra
from hypergraph.data.modality import Features, Modality
from hypergraph.data.tables.columns import (
    as_ids,
    as_numbers,
    column_names,
    of_one_kind,
    read_columns,
)
from hypergraph.data.tables.features import read_feature_table
from hypergraph.data.tables.specs import ModalityTables


@dataclass(frozen=True)
class IdColumn:
    """A column of ids [n], int64 or large_string.

    Attributes:
        where: the column and the file, for errors.
    """

    where: str
    values: Column

    @classmethod
    def joined(cls, columns: Sequence[IdColumn]) -> IdColumn:
        """Several columns one after the other, all as integers or all as strings."""
        kinds = of_one_kind(column.values for column in columns)
        chunks = [chunk for column in kinds for chunk in column.chunks]
        return cls(columns[0].where, pa.chunked_array(chunks))


@dataclass(frozen=True)
class ModalityItems:
    """A modality and its ids.

    Attributes:
        source: the file that names the items, for errors.
    """

    modality: Modality
    ids: NodeIds
    source: str

    def positions(self, wanted: IdColumn) -> np.ndarray:
        """The positions int64 [n] of ids; raises UserError for an id of no item."""
        ids = wanted.values
        if self.ids.are_strings:
            ids = ids.cast(pa.large_string())
        same_type = ids.type == self.ids.values.type
        found = self.ids.lookup(ids) if same_type else np.full(len(ids), -1, np.int64)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            first = ids[int(missing[0])].as_py()
            unknown = (ids[int(at)].as_py() for at in missing)
            odd = None
            if not same_type:
                odd = next((id_ for id_ in unknown if not _is_integer(id_)), None)
            try:
                self.modality.index_of(first if odd is None else odd)
            except UserError as error:
                raise UserError(
                    f"{wanted.where}: {error}. The items are those of '{self.source}': add a row "
                    "there, or leave this row out"
                ) from None
        return found


def read_items(name: str, spec: ModalityTables, named: Sequence[IdColumn]) -> ModalityItems:
    """The items of a modality: those of its features, else all that relations and edges name.

    Args:
        named: the columns of relations that name items of the modality.

    Raises UserError if there are no items, and for edges of items that do not exist.
    """
    if spec.edges is not None and spec.neighbours is not None:
        raise UserError(f"modality '{name}' has both edges and neighbours; keep one")
    for key, of in (("edge_columns", "edges"), ("weight", "edges"), ("id", "features")):
        if getattr(spec, key) is not None and getattr(spec, of) is None:
            raise UserError(f"modality '{name}' has '{key}' without '{of}'; give both or neither")
    ends, weights = _read_edges(name, spec)
    if spec.features is not None:
        table = read_feature_table(expanded(spec.features), spec.id)
        items = _items(name, table.ids, str(spec.features), table.counted, table.features)
    elif named or ends:
        ids = NodeIds.of(pc.unique(IdColumn.joined([*named, *ends]).values))
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
    """Whether an id is an integer or its usual text; a column with another id is all strings."""
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
) -> ModalityItems:
    own_ids = None if counted else np.array(ids.to_list())
    return ModalityItems(Modality(name, len(ids), own_ids, features), ids, source)


def _read_edges(name: str, spec: ModalityTables) -> tuple[list[IdColumn], np.ndarray | None]:
    """The two id columns [E] of the edges, and their weights [E]."""
    if spec.edges is None:
        return [], None
    path = expanded(spec.edges)
    ends = [str(column) for column in spec.edge_columns or ()]
    more = [] if spec.weight is None else [spec.weight]
    if not ends:
        names = column_names(path, more)
        ends = list(usual_ends(names) or names[:2])
    if len(ends) != 2:
        raise UserError(f"edge_columns of modality '{name}' are {ends}; give two columns")
    columns = read_columns(path, [*ends, *more])
    where = [f"column '{column}' of '{path}'" for column in (*ends, *more)]
    ids = [IdColumn(where[at], as_ids(columns[at], where[at])) for at in range(2)]
    return ids, as_numbers(columns[2], where[2]) if more else None
