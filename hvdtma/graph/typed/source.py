"""A typed graph in memory, as a source of a build.

Legend: N nodes of a type, E edges of a type, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.raw import GraphData
from hvdtma.graph.sort.batches import EDGES_PER_BATCH, EdgeBatch
from hvdtma.graph.typed.schema import EdgeType, GraphSchema, check_types, with_reverse
from hvdtma.storage.node_ids import NodeIds


@dataclass
class NodesOfType:
    """The nodes of one type.

    Attributes:
        ids: the ids of the N nodes, distinct within the type.
        feat: features [N, D], dense or CSR; None: the node's degrees are its features.
    """

    ids: NodeIds
    feat: np.ndarray | sp.csr_matrix | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class TypedGraph(GraphData):
    """A `Source` with several types of nodes and edges.

    The nodes are numbered type by type, in the order of `nodes`. `label`, `node_split` and
    `link_split` have these numbers.

    Attributes:
        nodes: the nodes of each type.
        edges: for each edge type the numbers of sources and destinations int64 [E], each within its
            own type.
        add_reverse: whether messages flow both ways: every edge type gets a reverse type.
        label_type: the node type that has labels; None without labels.
    """

    nodes: dict[str, NodesOfType]
    edges: dict[EdgeType, tuple[np.ndarray, np.ndarray]]
    add_reverse: bool = field(default=False, kw_only=True)
    label_type: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self.edge_type_names = self.schema.edge_type_names

    @cached_property
    def schema(self) -> GraphSchema:
        """The types, without facts that only the store has."""
        given = list(self.edges)
        check_types(list(self.nodes), given)
        edge_types = with_reverse(given) if self.add_reverse else given
        sizes = tuple(map(len, self.nodes.values()))
        return GraphSchema(tuple(self.nodes), tuple(edge_types), sizes, label_type=self.label_type)

    @cached_property
    def first(self) -> np.ndarray:
        """int64 [T+1]: the number of the first node of each type."""
        return np.concatenate([[0], np.cumsum(self.schema.sizes)]).astype(np.int64)

    def first_of(self, node_type: str) -> int:
        """The number of the first node of a type."""
        return int(self.first[self.schema.node_types.index(node_type)])

    @property
    def num_nodes(self) -> int:
        return int(self.first[-1])

    @property
    def num_edges(self) -> int:
        """Edges of all types, with those that are added in the other direction."""
        return sum(self.edges_by_type)

    @cached_property
    def edges_by_type(self) -> tuple[int, ...]:
        """The number of edges of each edge type of the schema."""
        added = self.schema.edge_types[len(self.edges) :]
        sizes = {each: len(src) for each, (src, _) in self.edges.items()}
        return (*sizes.values(), *(sizes[_forward(each)] for each in added))

    @cached_property
    def node_id(self) -> NodeIds:
        """The ids of all nodes; text if a type has text, as ids of a store are of one kind."""
        values = [each.ids for each in self.nodes.values()]
        if len({ids.are_strings for ids in values}) > 1:
            texts = [ids.values.cast(pa.large_string()) for ids in values]
            return NodeIds(pa.concat_arrays(texts))
        return NodeIds(pa.concat_arrays([ids.values for ids in values]))

    def edge_batches(self) -> Iterator[Callable[[], EdgeBatch]]:
        """The edges type by type; an added type after the type that it is the reverse of."""
        numbers = {each: at for at, each in enumerate(self.schema.edge_types)}
        added = self.schema.edge_types[len(self.edges) :]
        for each, (src, dst) in self.edges.items():
            for start in range(0, len(src), EDGES_PER_BATCH):
                part = slice(start, start + EDGES_PER_BATCH)
                yield partial(self._batch, each, src[part], dst[part], numbers[each])
                if each.reverse in added:
                    reverse = each.reverse
                    yield partial(self._batch, reverse, dst[part], src[part], numbers[reverse])

    def _batch(self, kind: EdgeType, src: np.ndarray, dst: np.ndarray, number: int) -> EdgeBatch:
        return EdgeBatch(
            src + self.first_of(kind.src),
            dst + self.first_of(kind.dst),
            np.full(len(src), number, np.int16),
        )

    def check(self) -> None:
        if not self.num_edges:
            raise UserError("the graph has no edges")
        for name, nodes in self.nodes.items():
            if nodes.feat is not None and nodes.feat.shape[0] != len(nodes):
                raise UserError(
                    f"the features of '{name}' have {nodes.feat.shape[0]} rows; the type has "
                    f"{len(nodes)} nodes"
                )
        for kind, ends in self.edges.items():
            for values, end in zip(ends, (kind.src, kind.dst), strict=True):
                _check_ends(kind, values, len(ends[0]), end, len(self.nodes[end]))
        self.check_data(self.num_nodes)


def _check_ends(kind: EdgeType, values: np.ndarray, num: int, end: str, num_nodes: int) -> None:
    if len(values) != num:
        raise UserError(f"'{kind}' has {num} sources and {len(values)} destinations")
    if num and not 0 <= values.min() <= values.max() < num_nodes:
        raise UserError(
            f"'{kind}' has ends {values.min()} to {values.max()} of type '{end}'; valid: 0 to "
            f"{num_nodes - 1}"
        )


def _forward(kind: EdgeType) -> EdgeType:
    """The edge type that a reverse one was made of."""
    return EdgeType(kind.dst, kind.relation.removeprefix("rev_"), kind.src)


def is_typed(source: Any) -> bool:
    """Whether a source has node types."""
    return isinstance(getattr(source, "schema", None), GraphSchema)
