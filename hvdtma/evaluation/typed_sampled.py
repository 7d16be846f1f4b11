"""Embeddings of some nodes of a typed graph from sampled neighbours, so many of each edge type.

Legend: Q requested nodes, e sampled edges, D features, H hidden.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from hvdtma.evaluation.typed_hops import typed_hops
from hvdtma.graph.csc import CSC
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import StoredRows, gather
from hvdtma.graph.typed.schema import EdgeType
from hvdtma.sampling.draws import SampledEdges, layer_key, sample_edges
from hvdtma.sampling.edge_set import EdgeSet
from hvdtma.sampling.typed_block import TypedBlock
from hvdtma.sampling.typed_hop import TypedHop
from hvdtma.sampling.typed_layers import joined_block, split_seeds
from hvdtma.tasks import Model


def embed_typed_sampled(
    model: Model,
    store: GraphStore,
    nodes_Q: np.ndarray,
    fanouts: list[int],
    *,
    seed: int,
    device: torch.device,
    check: TypedLimit,
) -> np.ndarray:
    """Embed distinct nodes of a typed store: float32 [Q, H]; see `embed_sampled`.

    Args:
        check: raises an error if a layer would exceed the memory.
    """
    schema = store.schema
    assert schema is not None
    nodes, row_Q = split_seeds(store.layout.types_and_own(nodes_Q), schema)
    blocks: list[TypedBlock] = []
    for layer, fanout in enumerate(reversed(fanouts)):
        check(store, nodes, fanout)
        found = _sample(store, nodes, fanout, layer_key(seed, layer))
        block, nodes = joined_block(schema, nodes, found)
        blocks.insert(0, block.to(device))
    x = {
        name: _gathered(store, f"feat/{number}", nodes[number]).to(device)
        for number, name in enumerate(schema.node_types)
    }
    first_hop: dict[EdgeType, TypedHop] | None = None
    if model.first_hop:
        hops = typed_hops(store, schema, nodes)
        first_hop = {kind: hop.to(device) for kind, hop in hops.items()}
    h = model.encoder(blocks, x, first_hop)
    rows = torch.cat([h[name] for name in schema.node_types]).float().cpu().numpy()
    return rows[row_Q]


@dataclass
class TypedLimit:
    """Raises an error before a layer that would exceed a limit.

    Attributes:
        limit_bytes: the limit.
        bytes_of: the memory of some nodes of each layer, and of edges.
        too_large: makes the error from the bytes that are needed.
    """

    limit_bytes: int
    bytes_of: Callable[[list[int], int], int]
    too_large: Callable[[int], Exception]
    hops: list[int] = field(default_factory=list)
    edges: int = 0

    def __call__(self, store: GraphStore, nodes: list[np.ndarray], fanout: int) -> None:
        """Check a layer, the output layer first, by the nodes of each type that it embeds."""
        assert store.schema is not None
        for number, dst_type in enumerate(store.schema.ends[:, 1].tolist()):
            if fanout > 0:
                self.edges += fanout * len(nodes[dst_type])
            else:
                degrees = gather(StoredRows(store, f"in_degree/{number}"), nodes[dst_type])
                self.edges += int(degrees.sum(dtype=np.int64))
        self.hops.append(sum(map(len, nodes)))
        most = min(self.hops[-1] + self.edges, store.num_nodes)
        needed = self.bytes_of([*self.hops, most], self.edges)
        if needed > self.limit_bytes:
            raise self.too_large(needed)


def _gathered(store: GraphStore, name: str, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(gather(StoredRows(store, name), rows)).float()


def _sample(
    store: GraphStore, nodes: list[np.ndarray], fanout: int, key: int
) -> list[SampledEdges | None]:
    """The sampled in-edges of the nodes of each type, by edge type; blocks are read once."""
    schema, layout = store.schema, store.layout
    assert schema is not None
    parts: list[list[tuple[np.ndarray, SampledEdges]]] = [[] for _ in schema.edge_types]
    order = [np.argsort(own, kind="stable") for own in nodes]
    offsets = store.block_offsets.tolist()
    for block, (start, stop) in enumerate(itertools.pairwise(offsets)):
        places = []
        for kind, own in enumerate(nodes):
            first = layout.first[block, kind]
            ends = [first, first + layout.counts[block, kind]]
            low, high = np.searchsorted(own[order[kind]], ends)
            places.append(order[kind][low:high])
        if not sum(map(len, places)):
            continue
        edges = _edges_of_block(store, store.rows(start, stop), block)
        for number, dst_type in enumerate(schema.ends[:, 1].tolist()):
            at = places[dst_type]
            if len(at):
                first = int(layout.first[block, dst_type])
                rows = nodes[dst_type][at] - first
                layer = EdgeSet(edges[number], number).key(key)
                sampled = sample_edges(edges[number], rows, fanout, layer, first_node=first)
                parts[number].append((at, sampled))
    sizes = [len(own) for own in nodes]
    dst_types = schema.ends[:, 1].tolist()
    return [_joined(part, sizes[dst]) for part, dst in zip(parts, dst_types, strict=True)]


def _edges_of_block(store: GraphStore, rows: CSC, block: int) -> list[CSC]:
    """The in-edges of a block's nodes by edge type; rows count within the block and the type."""
    schema, layout = store.schema, store.layout
    assert schema is not None and rows.edge_type is not None
    types_n, _ = layout.types_and_own(np.arange(*store.block_offsets[block : block + 2]))
    dst = np.repeat(np.arange(len(types_n)), np.diff(rows.indptr))
    first = layout.offsets[block] - layout.offsets[block, 0]
    found = []
    for number, (src_type, dst_type) in enumerate(schema.ends.tolist()):
        here = np.flatnonzero(rows.edge_type == number)
        size = int(layout.counts[block, dst_type])
        count = np.bincount(dst[here] - first[dst_type], minlength=size)
        source = layout.own(src_type, rows.indices[here].astype(np.int64))
        source = source.astype(rows.indices.dtype)
        found.append(CSC(np.concatenate([[0], np.cumsum(count)]).astype(np.int64), source))
    return found


def _joined(parts: list[tuple[np.ndarray, SampledEdges]], num_rows: int) -> SampledEdges | None:
    """The edges of all blocks in the order of the rows."""
    if not parts:
        return None
    row = np.concatenate([np.repeat(at, np.diff(edges.indptr)) for at, edges in parts])
    source = np.concatenate([edges.source for _, edges in parts])
    order = np.argsort(row, kind="stable")
    count = np.bincount(row, minlength=num_rows)
    return SampledEdges(np.concatenate([[0], np.cumsum(count)]), source[order], None)
