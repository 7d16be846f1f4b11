"""The memory and the disk space that the build of a typed graph requires.

Legend: N nodes, D features, T node types, R edge types.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hvdtma.graph.builder.budget import DEFAULT_DIM, BuildSizes
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.svd import reduction_bytes, svd_bytes
from hvdtma.graph.first_hop import first_hop_bytes
from hvdtma.graph.typed.schema import GraphSchema
from hvdtma.graph.typed.source import TypedGraph

DEGREE_BYTES = 4  # per destination and edge type


@dataclass(frozen=True)
class TypedSizes(BuildSizes):
    """`BuildSizes` of a typed graph.

    Attributes:
        schema: the types, with the widths of the features in the store.
        given_dims: the widths of the features as given, of each node type; 0 without.
        given_edges: the number of edges of each edge type as given.
    """

    schema: GraphSchema = field(default_factory=lambda: GraphSchema((), ()))
    given_dims: tuple[int, ...] = ()
    given_edges: tuple[int, ...] = ()

    @classmethod
    def of(cls, source: TypedGraph, options: BuildOptions) -> TypedSizes:  # type: ignore[override]
        """The sizes of a source."""
        base, schema = BuildSizes.of(source, options), source.schema
        dims, given_dims = [], []
        for number, nodes in enumerate(source.nodes.values()):
            given = 0 if nodes.feat is None else nodes.feat.shape[1]
            reduced = not isinstance(nodes.feat, np.ndarray) or options.feature_dim
            most = (options.feature_dim or DEFAULT_DIM) if reduced else given
            dims.append(min(given, most) if given else max(len(schema.into(number)), 1))
            given_dims.append(given)
        values = vars(base) | {"feature_dim": max(dims), "features": "rows", "reduced_from": 0}
        return cls(
            **values,
            schema=replace(schema, dims=tuple(dims)),
            given_dims=tuple(given_dims),
            given_edges=source.edges_by_type,
        )

    @property
    def projection_bytes(self) -> int:
        """0: the projections of a typed graph are not kept."""
        return 0

    @property
    def candidate_row_bytes(self) -> int:
        """The bytes per node of the store's `candidates`: a bit per node type."""
        return -(-len(self.schema.node_types) // 8) * bool(self.held_out)

    @property
    def side_bytes(self) -> int:
        """The memory of the candidates, besides counters."""
        return super().side_bytes + self.candidate_row_bytes * self.num_nodes

    @property
    def typed_bytes(self) -> dict[str, int]:
        """The size of the arrays that are other than those of an untyped store."""
        schema, item = self.schema, self.feature_bytes
        sizes = np.array(schema.sizes)
        hop_rows = np.minimum(sizes[schema.ends[:, 1]], self.given_edges)
        hop_values = int(hop_rows @ np.array(schema.dims)[schema.ends[:, 0]])
        return {
            "feat": int(item * (sizes @ np.array(schema.dims))),
            "first_hop": item * hop_values * self.options.first_hop,
            "in_degree": DEGREE_BYTES * int(sizes[schema.ends[:, 1]].sum()),
        }

    def _feature_stage_bytes(self) -> int:
        """The reduction of the type that needs most."""
        needed = [0]
        for size, given, dim in zip(
            self.schema.sizes, self.given_dims, self.schema.dims, strict=True
        ):
            if given > dim:
                needed.append(svd_bytes(size, dim) + reduction_bytes(given, dim))
        return max(needed)

    def _first_hop_bytes(self) -> int:
        """Also the edges of a type by destination."""
        if not self.options.first_hop:
            return 0
        return first_hop_bytes(self.num_nodes, self.feature_bytes) + 8 * (self.num_nodes + 1)
