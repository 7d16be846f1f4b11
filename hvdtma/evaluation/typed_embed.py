"""Embeddings of all nodes of a typed graph, layer by layer, from all their training neighbours.

A step embeds a range of nodes of all types. The rows between two layers are an array [N, H] in the
store's order of nodes, or a scratch file.

Legend: N nodes, n nodes of a range, m of a type in it, e edges of a range, D features, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from hvdtma.evaluation.budget import ROWS_AT_ONCE, TYPED_EDGES_AT_ONCE
from hvdtma.evaluation.typed_hops import typed_hops
from hvdtma.graph.csc import CSC
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import Rows, StoredRows, gather
from hvdtma.graph.stream import row_ranges
from hvdtma.sampling.draws import SampledEdges
from hvdtma.sampling.typed_block import TypedBlock
from hvdtma.sampling.typed_layers import joined_block
from hvdtma.tasks import Model

Inputs = tuple[Any, dict[str, torch.Tensor]]  # neighbours and rows of a layer


def typed_layer_rows(
    model: Model,
    number: int,
    store: GraphStore,
    h: Rows | None,
    device: torch.device,
) -> Iterator[tuple[int, int, np.ndarray]]:
    """The outputs of a layer for consecutive ranges: first node, end, and rows float32 [n, H].

    Args:
        number: of the layer.
        h: the outputs [N, H] of the layer before it; None for the first one.
    """
    assert store.schema is not None
    stored_hop = number == 0 and model.first_hop
    for start, stop in _ranges(store, with_edges=not stored_hop):
        range_ = NodeRange(store, start, stop)
        neighbours, x = range_.first_hop() if stored_hop else range_.neighbours(h)
        if isinstance(neighbours, TypedBlock):
            neighbours = neighbours.to(device)
        else:
            neighbours = {kind: hop.to(device) for kind, hop in neighbours.items()}
        x = {name: rows.to(device) for name, rows in x.items()}
        yield start, stop, range_.in_order(model.encoder.layer(number, neighbours, x))


def _ranges(store: GraphStore, *, with_edges: bool) -> Iterator[tuple[int, int]]:
    """Ranges of nodes that are embedded at once; a single node may have more edges."""
    per_row = TYPED_EDGES_AT_ONCE // ROWS_AT_ONCE
    cost_N1 = per_row * np.arange(store.num_nodes + 1)
    if with_edges:
        cost_N1 += store.read("indptr")
    yield from row_ranges(cost_N1, TYPED_EDGES_AT_ONCE)


class NodeRange:
    """A range start:stop of the nodes of a typed store.

    Attributes:
        types: the type of each node [n].
        own: for each node type the own numbers of its nodes, int64 [m], consecutive.
    """

    def __init__(self, store: GraphStore, start: int, stop: int):
        assert store.schema is not None
        self.store, self.start, self.stop, self.schema = store, start, stop, store.schema
        self.types, own_n = store.layout.types_and_own(np.arange(start, stop))
        kinds = range(len(self.schema.node_types))
        self.own = [own_n[self.types == kind] for kind in kinds]

    def first_hop(self) -> Inputs:
        """The stored first hop by edge type, and the features by node type."""
        hops = typed_hops(self.store, self.schema, self.own)
        x = {
            name: torch.from_numpy(self._rows(f"feat/{number}", number)).float()
            for number, name in enumerate(self.schema.node_types)
        }
        return hops, x

    def neighbours(self, h: Rows | None) -> Inputs:
        """A block with all in-edges of the nodes, and the rows of its sources by node type.

        Args:
            h: rows of all nodes [N, H]; None: the features.
        """
        block, nodes = joined_block(
            self.schema,
            self.own,
            in_edges_by_type(self.store, self.store.rows(self.start, self.stop), self.types),
        )
        x = {}
        for number, name in enumerate(self.schema.node_types):
            if h is None:
                rows = gather(StoredRows(self.store, f"feat/{number}"), nodes[number])
            else:
                rows = gather(h, self.store.layout.nodes(number, nodes[number]))
            x[name] = torch.from_numpy(rows).float()
        return block, x

    def in_order(self, rows_of: dict[str, torch.Tensor]) -> np.ndarray:
        """Rows by node type in the order of the nodes, float32 [n, H]."""
        dim = next(iter(rows_of.values())).shape[1]
        out = np.empty((self.stop - self.start, dim), np.float32)
        for number, name in enumerate(self.schema.node_types):
            if len(self.own[number]):
                out[self.types == number] = rows_of[name].float().cpu().numpy()
        return out

    def _rows(self, name: str, node_type: int) -> np.ndarray:
        own = self.own[node_type]
        if not len(own):
            return self.store.read(name, 0, 0)
        return self.store.read(name, int(own[0]), int(own[-1]) + 1)


def in_edges_by_type(
    store: GraphStore, rows: CSC, types_n: np.ndarray
) -> list[SampledEdges | None]:
    """All in-edges of some consecutive nodes by edge type, sources by own number; None without.

    Args:
        rows: the in-edges of the nodes.
        types_n: the types of the nodes.
    """
    schema, layout = store.schema, store.layout
    assert schema is not None and rows.edge_type is not None
    dst = np.repeat(np.arange(len(types_n)), np.diff(rows.indptr))
    row_of_n = np.zeros(len(types_n), np.int64)  # of each node among those of its type
    for kind in range(len(schema.node_types)):
        row_of_n[types_n == kind] = np.arange(int((types_n == kind).sum()))
    found: list[SampledEdges | None] = []
    for number, (src_type, dst_type) in enumerate(schema.ends.tolist()):
        here = np.flatnonzero(rows.edge_type == number)
        size = int((types_n == dst_type).sum())
        if not len(here):
            found.append(None)
            continue
        count = np.bincount(row_of_n[dst[here]], minlength=size)
        source = layout.own(src_type, rows.indices[here].astype(np.int64))
        found.append(SampledEdges(np.concatenate([[0], np.cumsum(count)]), source, None))
    return found
