"""The stored first hop of nodes of a typed graph, as a typed encoder reads it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from hvdtma.graph.store import GraphStore
from hvdtma.graph.typed.hop_rows import stored_hop
from hvdtma.graph.typed.schema import EdgeType, GraphSchema
from hvdtma.sampling.typed_hop import TypedHop


def typed_hops(
    store: GraphStore, schema: GraphSchema, own: Sequence[np.ndarray]
) -> dict[EdgeType, TypedHop]:
    """The stored first hop of some nodes by edge type.

    Args:
        own: for each node type the own numbers of its nodes.
    """
    hops = {}
    for number, dst_type in enumerate(schema.ends[:, 1].tolist()):
        row, mean, degree = map(torch.from_numpy, stored_hop(store, number, own[dst_type]))
        hops[schema.edge_types[number]] = TypedHop(row, mean.float(), degree.float())
    return hops
