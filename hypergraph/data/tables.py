"""A hypergraph from tables: one column per modality, ids as they are.

    from_tables(
        modalities={"user": {"edges": "friends.csv"}, "item": {"features": "items.parquet"}},
        relations={"rating": {"table": "ratings.csv.gz", "columns": ["user", "item"],
                              "value": "stars", "split": "part"}},
    )

Legend: n hyperedges, N items, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.errors import UserError, nearest
from hvdtma.graph.ids import NodeIds
from hvdtma.graph.sources.files.text_layout import usual_columns
from hypergraph.data.columns import as_ids, as_numbers, column_names, of_one_kind, read_columns
from hypergraph.data.feature_table import FeatureTable, read_feature_table
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.intra import Intra
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation
from hypergraph.data.table_specs import ModalityTables, RelationTables, spec_of


def from_tables(
    modalities: Mapping[str, ModalityTables | Mapping[str, Any] | None],
    relations: Mapping[str, RelationTables | Mapping[str, Any]],
) -> MultimodalHypergraph:
    """Read a hypergraph; dicts stand for `ModalityTables` and `RelationTables`, see there.

    A modality's items are those of its features, or else all that relations and edges name, in
    the order they come. A split that came along is in `Relation.part`; `given_split` uses it.

    Raises UserError for unknown keys, missing files and columns, ids that features do not have,
    and what does not make a hypergraph.
    """
    specs = {
        name: spec_of(ModalityTables, spec, f"modality '{name}'")
        for name, spec in modalities.items()
    }
    kept = {
        name: _read_relation(name, spec_of(RelationTables, spec, f"relation '{name}'"), list(specs))
        for name, spec in relations.items()
    }
    items = {
        name: _Items(name, spec, [ids for r in kept.values() for ids in r.named(name)])
        for name, spec in specs.items()
    }
    graph = MultimodalHypergraph.of(
        [found.modality for found in items.values()],
        [read.relation(name, items) for name, read in kept.items()],
    )
    for name, spec in specs.items():
        if spec.recipe is not None:
            graph = graph.with_intra(name, spec.recipe)
    return graph


@dataclass
class _Rows:
    """A relation's rows as read: a column of ids for each modality, values and parts."""

    ids: dict[str, tuple[str, pa.ChunkedArray]]  # modality -> where it is from, its ids
    values: np.ndarray | None
    part: np.ndarray | None

    def named(self, modality: str) -> list[tuple[str, pa.ChunkedArray]]:
        return [self.ids[modality]] if modality in self.ids else []

    def relation(self, name: str, items: dict[str, _Items]) -> Relation:
        columns = [items[modality].positions(*column) for modality, column in self.ids.items()]
        return Relation(name, tuple(self.ids), np.stack(columns, 1), self.values, self.part)


def _read_relation(name: str, spec: RelationTables, modalities: list[str]) -> _Rows:
    column_of = spec.column_of
    for modality in column_of:
        if modality not in modalities:
            raise UserError(
                f"relation '{name}' names the modality '{modality}'; "
                f"{nearest(modality, modalities)}"
            )
    tables = spec.table if isinstance(spec.table, Mapping) else {"": spec.table}
    if spec.split is not None and "" not in tables:
        raise UserError(f"relation '{name}' has a table for each part and a split column; keep one")
    more = [column for column in (spec.value, spec.split) if column is not None]
    read = [
        (part, Path(path), read_columns(Path(path), [*column_of.values(), *more]))
        for part, path in tables.items()
    ]
    ids = {}
    for at, (modality, column) in enumerate(column_of.items()):
        found = [as_ids(columns[at], _where(column, path)) for _, path, columns in read]
        chunks = [chunk for ids_n in of_one_kind(found) for chunk in ids_n.chunks]
        ids[modality] = (_where(column, read[0][1]), pa.chunked_array(chunks))
    values = part = None
    if spec.value is not None:
        at, where = len(column_of), [_where(spec.value, path) for _, path, _ in read]
        numbers = zip(read, where, strict=True)
        values = np.concatenate([as_numbers(columns[at], w) for (_, _, columns), w in numbers])
    if spec.split is not None:
        part = np.array(read[0][2][-1].to_pylist())
    elif "" not in tables:
        part = np.concatenate([np.full(len(columns[0]), name) for name, _, columns in read])
    return _Rows(ids, values, part)


@dataclass
class _Items:
    """A modality's items, and where each of their ids stands."""

    name: str
    spec: ModalityTables
    named: list[tuple[str, pa.ChunkedArray]]
    features: FeatureTable | None = None
    ids: NodeIds = field(init=False)
    modality: Modality = field(init=False)

    def __post_init__(self) -> None:
        path = self.spec.features
        edges = self._read_edges()
        columns = of_one_kind([ids for _, ids in (*self.named, *edges[0])])
        if path is not None:
            self.features = read_feature_table(Path(path), self.spec.id)
            self.ids = self.features.ids
            feat, known = self.features.features, None if self.features.counted else self.ids
        elif not columns:
            raise UserError(
                f"modality '{self.name}' has no items: no relation names it, and it has neither "
                "edges nor features"
            )
        else:
            chunks = [chunk for column in columns for chunk in column.chunks]
            self.ids = NodeIds.of(pc.unique(pa.chunked_array(chunks)))
            feat, known = None, self.ids
        ids = None if known is None else np.array(known.to_list())
        self.modality = Modality(self.name, len(self.ids), ids, feat)
        if edges[0]:
            pairs = np.stack([self.positions(*column) for column in edges[0]], 1)
            self.modality = Modality(self.name, len(self.ids), ids, feat, Intra.of(pairs, edges[1]))

    def positions(self, where: str, ids: pa.ChunkedArray) -> np.ndarray:
        """Positions int64 [n]; raises UserError for an id that is no item."""
        if self.ids.are_strings:
            ids = ids.cast(pa.large_string())
        found = self.ids.lookup(ids) if ids.type == self.ids.values.type else np.full(len(ids), -1)
        if (found < 0).any():
            try:
                self.modality.index_of(ids[int(np.argmax(found < 0))].as_py())
            except UserError as error:
                said = f"{where}: {error}. The items are those that '{self.spec.features}' has"
                raise UserError(f"{said}: features need a row for each") from None
        return found

    def _read_edges(self) -> tuple[list[tuple[str, pa.ChunkedArray]], np.ndarray | None]:
        """The two columns of ids of the edges, and their weights."""
        spec = self.spec
        if spec.edges is None:
            return [], None
        if spec.neighbours is not None:
            raise UserError(f"modality '{self.name}' has both edges and neighbours; keep one")
        path = Path(spec.edges)
        ends = [str(column) for column in spec.edge_columns or ()]
        more = [] if spec.weight is None else [spec.weight]
        if not ends:
            names = column_names(path, more)
            ends = [names[at] for at in usual_columns(names) or (0, 1)]
        if len(ends) != 2:
            raise UserError(f"edge_columns of modality '{self.name}' are {ends}; it must be two")
        columns = read_columns(path, [*ends, *more])
        named = [(_where(e, path), c) for e, c in zip(ends, columns[:2], strict=True)]
        ids = of_one_kind(as_ids(column, where) for where, column in named)
        weights = as_numbers(columns[2], _where(more[0], path)) if more else None
        return [(where, i) for (where, _), i in zip(named, ids, strict=True)], weights


def _where(column: str, path: Path) -> str:
    return f"column '{column}' of '{path}'"
