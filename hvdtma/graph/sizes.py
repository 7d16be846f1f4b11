"""The sizes of a graph, from which memory and disk usage are calculated.

They are known for a store as well as for a graph that is yet to be built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hvdtma.graph.candidates import CandidateRules
from hvdtma.graph.store import GraphStore
from hvdtma.graph.targets import label_row_bytes
from hvdtma.graph.typed.schema import GraphSchema


class GraphFacts(Protocol):
    """The facts about a graph that need no reading of arrays: a `GraphStore` or `GraphSizes`."""

    @property
    def path(self) -> Path: ...
    @property
    def num_nodes(self) -> int: ...
    @property
    def num_edges(self) -> int:
        """Edges of the training graph; an undirected link counts twice."""
        ...

    @property
    def undirected(self) -> bool: ...
    @property
    def feature_dim(self) -> int: ...
    @property
    def hop_dim(self) -> int:
        """Values of the first hop per node."""
        ...

    @property
    def schema(self) -> GraphSchema | None:
        """The node and edge types of a typed graph, or None."""
        ...

    @property
    def max_degree(self) -> int:
        """The largest in-degree of a typed graph; 0 for others."""
        ...

    @property
    def feature_dtype(self) -> np.dtype: ...
    @property
    def edge_type_names(self) -> Sequence[str]: ...
    @property
    def label_names(self) -> Sequence[str]: ...
    @property
    def label_kind(self) -> str: ...
    @property
    def candidate_rules(self) -> CandidateRules:
        """The sets of nodes that negatives of each edge type are drawn from."""
        ...

    @property
    def num_blocks(self) -> int: ...
    @property
    def edges_inside(self) -> float:
        """The share of edges within super-nodes or parts, which assignments keep together."""
        ...

    @property
    def held_out(self) -> Mapping[str, tuple[int, int]]:
        """For `valid` and `test`: the number of links, and of negatives per link."""
        ...

    @property
    def held_out_nodes(self) -> Mapping[str, int]:
        """For `valid` and `test`: the number of labelled nodes."""
        ...

    def __contains__(self, name: object) -> bool:
        """Whether there is an array of this name (`label`, `first_hop`, `weight`)."""
        ...


def recorded_schema(facts: Mapping[str, Any]) -> GraphSchema | None:
    """The types of a graph in the record of a run; None without node types."""
    return GraphSchema.of_attrs(facts) if facts.get("schema") else None


@dataclass(frozen=True)
class GraphSizes:
    """The sizes of a graph that need not exist yet; see `GraphFacts`.

    Attributes:
        arrays: the optional arrays: `first_hop`, `label`, `weight`.
        num_units: the number of units of assignment: blocks, or whole parts.
        largest_unit: the number of nodes of the largest unit.
    """

    path: Path
    num_nodes: int
    num_edges: int
    undirected: bool
    feature_dim: int
    feature_dtype: np.dtype
    num_blocks: int
    num_units: int
    largest_unit: int
    arrays: frozenset[str] = frozenset({"first_hop"})
    edge_type_names: Sequence[str] = ()
    label_names: Sequence[str] = ()
    edges_inside: float = 0.0
    held_out: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    label_kind: str = "class"
    held_out_nodes: Mapping[str, int] = field(default_factory=dict)
    candidate_rules: CandidateRules = field(default_factory=CandidateRules)
    schema: GraphSchema | None = None
    typed_hop_dim: int = 0
    max_degree: int = 0

    @classmethod
    def of(cls, store: GraphStore) -> GraphSizes:
        """The sizes of a store."""
        units = store.block_offsets
        if store.part_offsets is not None:
            units = units[store.part_offsets]
        return cls(
            store.path,
            store.num_nodes,
            store.num_edges,
            store.undirected,
            store.feature_dim,
            store.feature_dtype,
            store.num_blocks,
            len(units) - 1,
            int(np.diff(units).max(initial=0)),
            frozenset(name for name in ("first_hop", "label", "weight") if name in store),
            tuple(store.edge_type_names),
            tuple(store.label_names),
            store.edges_inside,
            store.held_out,
            store.label_kind,
            store.held_out_nodes,
            store.candidate_rules,
            store.schema,
            store.hop_dim if store.schema is not None else 0,
            store.max_degree,
        )

    def as_trained(self, facts: Mapping[str, Any]) -> GraphSizes:
        """The same sizes with the meaning of a trained model's outputs, as a run records it.

        A later graph may lack the labels that the model predicts.

        Args:
            facts: `label_names`, `label_kind`, `edge_type_names`, and `undirected` of newer runs.
        """
        labels = {"label"} if facts["label_names"] else set()
        schema, recorded = self.schema, recorded_schema(facts)
        if recorded is not None:
            own = self.schema or recorded
            schema = replace(own, label_type=recorded.label_type)
        return replace(
            self,
            undirected=facts.get("undirected", self.undirected),
            arrays=self.arrays - {"label"} | labels,
            edge_type_names=tuple(facts["edge_type_names"]),
            label_names=tuple(facts["label_names"]),
            label_kind=facts["label_kind"],
            schema=schema,
        )

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    @property
    def hop_dim(self) -> int:
        """Values of the first hop per node."""
        return self.feature_dim if self.schema is None else self.typed_hop_dim

    @property
    def label_row_bytes(self) -> int:
        """The size of a node's label; 0 without labels."""
        row_bytes = label_row_bytes(self.label_kind, len(self.label_names))
        return row_bytes * ("label" in self)

    @property
    def mean_degree(self) -> float:
        """In-edges per node."""
        return self.num_edges / max(self.num_nodes, 1)
