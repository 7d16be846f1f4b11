"""A hypergraph from tables: one column of ids per modality.

from_tables(
    modalities={"user": {"edges": "friends.csv"}, "item": {"features": "items.parquet"}},
    relations={"rating": {"table": "ratings.csv.gz", "columns": ["user", "item"],
                          "value": "stars", "split": "part"}},
)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.tables.items import read_items
from hypergraph.data.tables.relations import read_relation
from hypergraph.data.tables.specs import ModalityTables, RelationTables, spec_of


def from_tables(
    modalities: Mapping[str, ModalityTables | Mapping[str, Any] | None],
    relations: Mapping[str, RelationTables | Mapping[str, Any]],
) -> MultimodalHypergraph:
    """Read a hypergraph from tables.

    The items of a modality are those of its features; without features, all items that relations
    and edges name, in their order. A split that comes with the tables is kept in `Relation.part`:
    `given_split` uses it, and HyperLearn does not train on such a hypergraph without it.

    Args:
        modalities: name -> `ModalityTables`, or a dict of its fields.
        relations: name -> `RelationTables`, or a dict of its fields.

    Raises UserError for unknown keys, missing files and columns, ids that the features do not have,
    and as `MultimodalHypergraph`.
    """
    specs = {
        name: spec_of(ModalityTables, spec, f"modality '{name}'")
        for name, spec in modalities.items()
    }
    tables = {
        name: read_relation(name, spec_of(RelationTables, spec, f"relation '{name}'"), list(specs))
        for name, spec in relations.items()
    }
    items = {
        name: read_items(name, spec, [t.ids[name] for t in tables.values() if name in t.ids])
        for name, spec in specs.items()
    }
    graph = MultimodalHypergraph.of(
        [found.modality for found in items.values()],
        [table.relation(name, items) for name, table in tables.items()],
    )
    for name, spec in specs.items():
        if spec.recipe is not None:
            graph = graph.with_intra(name, spec.recipe)
    return graph
