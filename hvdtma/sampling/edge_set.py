"""The edges that a sampler draws from at once: all edges of a shard, or those of one type."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hvdtma.graph.csc import CSC
from hvdtma.sampling.draws import Exclusion, SampledEdges, layer_key


class EdgeSet(NamedTuple):
    """In-edges to sample from.

    Attributes:
        csc: in-edges.
        edge_type: the number of their type; None in a graph without node types.
        src_type: the number of the node type of their sources; 0 in a graph without node types.
    """

    csc: CSC
    edge_type: int | None = None
    src_type: int = 0

    def key(self, key: int) -> int:
        """The key of this set's sample, from that of the layer: types are drawn independently."""
        return key if self.edge_type is None else layer_key(key, self.edge_type)


SampleLayer = Callable[[EdgeSet, np.ndarray, Exclusion], SampledEdges]
"""A function of edges, int64 rows and excluded edges that samples in-edges of the rows."""
