"""The links of a typed graph that a task learns and scores: those of some edge types.

Legend: e edges of a shard, n links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TaskConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.stored_rows import stored
from hvdtma.graph.typed.schema import GraphSchema
from hvdtma.sampling.typed_shard import TypedShard
from hvdtma.tasks.positives import Positives
from hvdtma.tasks.task import TrainingSize


@dataclass(frozen=True)
class TargetTypes:
    """The edge types that a task learns.

    Attributes:
        schema: of the store.
        numbers: of the edge types, ascending.
    """

    schema: GraphSchema
    numbers: list[int]

    @classmethod
    def of(cls, config: TaskConfig, store: GraphFacts) -> TargetTypes | None:
        """The targets of `task.target`; None in a graph without node types.

        Raises UserError for an unknown edge type, and for a target in a graph without node types.
        """
        if store.schema is None:
            if config.target is not None:
                raise UserError(
                    f"task.target is {config.target}, but {store.path} has no node types; leave "
                    "task.target out"
                )
            return None
        return cls(store.schema, store.schema.edge_type_numbers(config.target, "task.target"))

    @property
    def names(self) -> list[str]:
        """The names of the edge types."""
        return [str(self.schema.edge_types[number]) for number in self.numbers]

    def num_links(self, size: TrainingSize) -> int:
        """The number of training links in a shard, or an estimate from its number of edges."""
        if isinstance(size, TypedShard):
            return sum(size.edges[number].num_edges for number in self.numbers)
        total = sum(self.schema.num_edges)
        wanted = sum(self.schema.num_edges[number] for number in self.numbers)
        return round(size.num_edges * wanted / max(total, 1))

    def num_held_out(self, part: str) -> int:
        """The number of held-out links of these types."""
        by_type = self.schema.held_out.get(part, ())
        return sum(by_type[number] for number in self.numbers) if by_type else 0

    def rows(self, store: GraphFacts, part: str, chosen: np.ndarray | None) -> np.ndarray | None:
        """The rows of the held-out links with the given numbers among those of these types.

        Args:
            chosen: int64 ascending; None: all.
        """
        if self.num_held_out(part) == sum(self.schema.held_out.get(part, ())):
            return chosen
        types = stored(store).read(f"split/{part}/edge_type")
        rows = np.flatnonzero(np.isin(types, self.numbers))
        return rows if chosen is None else rows[chosen]


class TypedPositives(Positives):
    """The training links of some edge types by number."""

    def __init__(self, shard: TypedShard, targets: TargetTypes):
        super().__init__(shard, undirected=False)
        assert shard.csc.edge_type is not None
        edges = np.flatnonzero(np.isin(shard.csc.edge_type, targets.numbers))
        self.edges = edges.astype(
            shard.csc.indices.dtype if len(shard.csc.edge_type) < 2**31 else np.int64
        )

    def __len__(self) -> int:
        return len(self.edges)

    def take(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """See `Positives.take`."""
        return super().take(self.edges[chosen].astype(np.int64))

    def between(self, nodes: np.ndarray) -> np.ndarray:
        """See `Positives.between`."""
        found = super().between(nodes)
        place = np.searchsorted(self.edges, found)
        place[place == len(self.edges)] = 0
        return place[self.edges[place] == found] if len(self.edges) else found[:0]
