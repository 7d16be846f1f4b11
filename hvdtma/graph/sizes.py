"""How large a graph is, as numbers: enough to say what it takes of disk and memory.

A store has these numbers, and so has a graph that is not built yet; what memory and disk are
needed is worked out from either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from hvdtma.graph.store import GraphStore


class GraphFacts(Protocol):
    """What is known of a graph without reading it: a `GraphStore`, or `GraphSizes`."""

    @property
    def path(self) -> Path: ...
    @property
    def num_nodes(self) -> int: ...
    @property
    def num_edges(self) -> int:
        """Of the training graph; an undirected link counts twice."""
        ...

    @property
    def undirected(self) -> bool: ...
    @property
    def feature_dim(self) -> int: ...
    @property
    def feature_dtype(self) -> np.dtype: ...
    @property
    def edge_type_names(self) -> Sequence[str]: ...
    @property
    def label_names(self) -> Sequence[str]: ...
    @property
    def num_blocks(self) -> int: ...
    @property
    def edges_inside(self) -> float:
        """Share of edges within what an assignment keeps together (super-nodes, parts)."""
        ...

    @property
    def held_out(self) -> Mapping[str, tuple[int, int]]:
        """Links of `valid` and `test`, and the negatives of each."""
        ...

    def __contains__(self, name: object) -> bool:
        """Whether there is such an array (`label`, `first_hop`)."""
        ...


@dataclass(frozen=True)
class GraphSizes:
    """The sizes of a graph that need not exist; see `GraphFacts`.

    Attributes:
        arrays: optional arrays that it has: of `first_hop`, `label`.
        num_units: what an assignment assignments: blocks, or whole parts.
        largest_unit: nodes of the largest of them.
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
            frozenset(name for name in ("first_hop", "label") if name in store),
            tuple(store.edge_type_names),
            tuple(store.label_names),
            store.edges_inside,
            store.held_out,
        )

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    @property
    def mean_degree(self) -> float:
        """In-edges of a node."""
        return self.num_edges / max(self.num_nodes, 1)
