"""The shard of a typed graph: features by node type, edges and first hop by edge type.

Legend: n nodes of the shard, m nodes of a type in it, e edges, D features, T node types, R edge
types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.graph.store import GraphStore
from hvdtma.graph.typed.layout import NodeLayout
from hvdtma.graph.typed.schema import GraphSchema
from hvdtma.sampling.reader import BlockReader, Range
from hvdtma.sampling.shard import Shard, load_shard
from hvdtma.sampling.typed_hop import TypedHop


@dataclass
class TypedShard(Shard):
    """A `Shard` whose nodes have types. `feat` and `hop` are empty; `csc` has all edges.

    Attributes:
        schema: of the store.
        layout: the types of the local nodes, and their own numbers within the shard.
        edges: for each edge type its in-edges, with own numbers of both ends.
        feats: for each node type its features [m, D].
        degrees: for each edge type the in-degrees in the whole training graph, float [m].
        hops: for each edge type the stored means over all training neighbours of the type, of the
            nodes that have any; or None.
    """

    schema: GraphSchema = field(kw_only=True)
    layout: NodeLayout = field(kw_only=True)
    edges: list[CSC] = field(kw_only=True)
    feats: list[torch.Tensor] = field(kw_only=True)
    degrees: list[torch.Tensor] = field(kw_only=True)
    hops: list[torch.Tensor] | None = field(kw_only=True)

    def features_of(self, node_type: int, own: torch.Tensor) -> torch.Tensor:
        """float32 [Q, D] of nodes of a type."""
        return self.feats[node_type].index_select(0, own).float()

    def first_hop_of(self, edge_type: int, own: torch.Tensor) -> TypedHop | None:
        """The first hop of nodes of the edge type's destination type, or None."""
        if self.hops is None:
            return None
        degree = self.degrees[edge_type].index_select(0, own)
        row = degree.nonzero()[:, 0]
        place = self._hop_places[edge_type].index_select(0, own[row])
        mean = self.hops[edge_type].index_select(0, place).float()
        return TypedHop(row, mean, degree[row])

    @cached_property
    def _hop_places(self) -> list[torch.Tensor]:
        """For each edge type the row of each destination in `hops`, int32 [m]."""
        return [(degree > 0).cumsum(0, dtype=torch.int32) - 1 for degree in self.degrees]

    def by_type(self, values_n: np.ndarray) -> list[np.ndarray]:
        """Values of the nodes, by node type and own number."""
        return [values_n[nodes] for nodes in self._nodes_by_type]

    @cached_property
    def _nodes_by_type(self) -> list[np.ndarray]:
        """For each node type its nodes in local numbers, int64 [m]."""
        sizes = self.layout.sizes.tolist()
        return [self.layout.nodes(t, np.arange(size)) for t, size in enumerate(sizes)]


def load_any_shard(
    store: GraphStore | BlockReader,
    blocks: np.ndarray,
    *,
    assigned: np.ndarray | None = None,
    first_hop: bool = False,
    labels: bool = False,
    remote: bool = False,
) -> Shard:
    """Read the shard of `blocks`, of a typed store a `TypedShard`; see `load_shard`."""
    reader = store if isinstance(store, BlockReader) else BlockReader(store)
    store = reader.store
    typed = store.schema is not None
    base = load_shard(
        reader,
        blocks,
        assigned=assigned,
        first_hop=first_hop and not typed,
        labels=labels,
        remote=remote,
    )
    if store.schema is None:
        return base
    others = np.setdiff1d(np.arange(store.num_blocks), blocks) if remote else blocks[:0]
    layout, schema = store.layout.of_blocks(np.r_[blocks, others]), store.schema

    def joined(name: str, ranges_of: Callable[[np.ndarray], list[Range]]) -> torch.Tensor:
        parts = [reader.rows(name, ranges_of(some)) for some in (blocks, others)]
        return torch.from_numpy(np.concatenate(parts) if len(parts[1]) else parts[0])

    def rows(name: str, node_type: int) -> torch.Tensor:
        return joined(name, lambda some: store.layout.ranges(node_type, some))

    def hop_rows(number: int) -> torch.Tensor:
        ends = store.hop_offsets[:, number].tolist()
        return joined(
            f"first_hop/{number}",
            lambda some: [(ends[b], ends[b + 1]) for b in some.tolist() if ends[b] < ends[b + 1]],
        )

    dst = schema.ends[:, 1].tolist()
    numbers = range(len(dst))
    return TypedShard(
        **vars(base),
        schema=schema,
        layout=layout,
        edges=edges_by_type(base.csc, layout, schema),
        feats=[rows(f"feat/{t}", t) for t in range(len(schema.node_types))],
        degrees=[rows(f"in_degree/{r}", dst[r]).float() for r in numbers],
        hops=[hop_rows(r) for r in numbers] if first_hop else None,
    )


def edges_by_type(csc: CSC, layout: NodeLayout, schema: GraphSchema) -> list[CSC]:
    """The edges of each type, from those of all types; ends have their own numbers within types."""
    sizes = layout.sizes
    own_n = layout.types_and_own(np.arange(csc.num_nodes))[1]
    own_n = own_n.astype(index_dtype(csc.num_nodes))
    kinds = np.zeros(0, np.int16) if csc.edge_type is None else csc.edge_type
    count_R = np.bincount(kinds, minlength=len(schema.ends)).astype(np.int64)
    degree_start = np.concatenate([[0], np.cumsum(sizes[schema.ends[:, 1]])]).astype(np.int64)
    edge_start = np.concatenate([[0], np.cumsum(count_R)]).astype(np.int64)
    indices = np.empty(csc.num_edges, own_n.dtype)
    degrees = np.zeros(int(degree_start[-1]), np.int64)
    _split(
        csc.indptr,
        csc.indices,
        kinds,
        own_n,
        edge_start[:-1].copy(),
        degree_start,
        indices,
        degrees,
    )
    found = []
    for number in range(len(schema.ends)):
        degree = degrees[degree_start[number] : degree_start[number + 1]]
        indptr = np.concatenate([[0], np.cumsum(degree)]).astype(np.int64)
        found.append(CSC(indptr, indices[edge_start[number] : edge_start[number + 1]]))
    return found


@njit(nogil=True)
def _split(
    indptr: np.ndarray,
    indices: np.ndarray,
    kinds: np.ndarray,
    own_n: np.ndarray,
    free_R: np.ndarray,
    degree_start: np.ndarray,
    out: np.ndarray,
    degrees: np.ndarray,
) -> None:
    """Write the own numbers of sources by edge type, and count the edges of each destination."""
    for row in range(len(indptr) - 1):
        for edge in range(indptr[row], indptr[row + 1]):
            kind = kinds[edge]
            out[free_R[kind]] = own_n[indices[edge]]
            free_R[kind] += 1
            degrees[degree_start[kind] + own_n[row]] += 1
