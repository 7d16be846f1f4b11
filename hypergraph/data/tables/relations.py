"""The rows of a relation from one table, or from one table for each part of a split.

Legend: n hyperedges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.files import expanded
from hvdtma.tables.columns import Column
from hypergraph.data.relation import Relation
from hypergraph.data.tables.columns import as_ids, as_numbers, read_columns
from hypergraph.data.tables.items import IdColumn, ModalityItems
from hypergraph.data.tables.specs import RelationTables


@dataclass(frozen=True)
class RelationTable:
    """The rows of a relation as they were read.

    Attributes:
        ids: modality -> ids [n].
        values: [n], or None.
        part: [n], words or numbers, or None.
    """

    ids: dict[str, IdColumn]
    values: np.ndarray | None
    part: np.ndarray | None

    def relation(self, name: str, items: Mapping[str, ModalityItems]) -> Relation:
        """The relation, with ids replaced by positions."""
        columns = [items[modality].positions(ids) for modality, ids in self.ids.items()]
        return Relation(name, tuple(self.ids), np.stack(columns, 1), self.values, self.part)


def read_relation(name: str, spec: RelationTables, modalities: list[str]) -> RelationTable:
    """Read a relation; raises UserError for unknown modalities, missing files and columns."""
    column_of = spec.column_of
    for modality in column_of:
        if modality not in modalities:
            raise UserError(
                f"relation '{name}' names the modality '{modality}'; "
                f"{nearest(modality, modalities)}"
            )
    if not isinstance(spec.table, Mapping):
        return _read(expanded(spec.table), column_of, spec.value, spec.split)
    if spec.split is not None:
        raise UserError(f"relation '{name}' has a table per part and a split column; keep one")
    if not spec.table:
        raise UserError(f"relation '{name}' has no table; give one, or one per part")
    tables = [_read(expanded(path), column_of, spec.value, None) for path in spec.table.values()]
    lengths = [len(next(iter(table.ids.values())).values) for table in tables]
    return RelationTable(
        {each: IdColumn.joined([table.ids[each] for table in tables]) for each in column_of},
        None if spec.value is None else np.concatenate([t.values for t in tables]),
        np.repeat(list(spec.table), lengths),
    )


def _read(
    path: Path, column_of: dict[str, str], value: str | None, split: str | None
) -> RelationTable:
    more = [column for column in (value, split) if column is not None]
    wanted = [*column_of.values(), *more]
    columns = read_columns(path, wanted)
    where = [f"column '{column}' of '{path}'" for column in wanted]
    ids = {
        modality: IdColumn(where[at], as_ids(columns[at], where[at]))
        for at, modality in enumerate(column_of)
    }
    at = len(column_of)
    values = None if value is None else as_numbers(columns[at], where[at])
    part = None if split is None else _parts(columns[-1], where[-1])
    return RelationTable(ids, values, part)


def _parts(column: Column, where: str) -> np.ndarray:
    """Words or numbers [n]; raises UserError for an empty row."""
    words = column.to_pylist()
    if column.null_count:
        row = words.index(None)
        raise UserError(f"{where}: row {row} is empty; give train, valid or test in each row")
    return np.array(words)
