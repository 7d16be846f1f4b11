"""From a way to sample in-edges to a typed neighbourhood: layer by layer, edge type by edge type.

Legend: S seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from hvdtma.graph.typed.schema import GraphSchema
from hvdtma.sampling.block import Block
from hvdtma.sampling.draws import SampledEdges, renumber
from hvdtma.sampling.edge_set import EdgeSet, SampleLayer
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.typed_block import TypedBlock
from hvdtma.sampling.typed_neighbourhood import (
    TypedNeighbourhood,
    TypedTargets,
    typed_neighbourhood,
)
from hvdtma.sampling.typed_shard import TypedShard


def sample_typed_layers(
    shard: TypedShard,
    seeds_S: torch.Tensor,
    targets: Targets | None,
    layers: Iterable[SampleLayer],
) -> TypedNeighbourhood:
    """The neighbourhood of distinct seeds, local node numbers of any type; see `sample_layers`."""
    schema = shard.schema
    nodes, seed_row = split_seeds(shard.layout.types_and_own(seeds_S.numpy()), schema)
    all_pairs = TypedTargets.of(shard, targets)
    excluded = all_pairs.exclusions(shard)
    blocks: list[TypedBlock] = []
    for sample in layers:
        found: list[SampledEdges | None] = []
        for number, (src_type, dst_type) in enumerate(schema.ends.tolist()):
            edges = EdgeSet(shard.edges[number], number, src_type)
            rows = nodes[dst_type]
            found.append(sample(edges, rows, excluded[number]) if len(rows) else None)
        block, nodes = joined_block(schema, nodes, found)
        blocks.insert(0, block)
    return typed_neighbourhood(shard, blocks, nodes, seed_row, all_pairs)


def split_seeds(
    types_and_own: tuple[np.ndarray, np.ndarray], schema: GraphSchema
) -> tuple[list[np.ndarray], np.ndarray]:
    """The own numbers of seeds by type, and each seed's row among those of all types, int64 [S]."""
    type_S, own_S = types_and_own
    order = np.argsort(type_S, kind="stable")
    row_S = np.empty(len(order), np.int64)
    row_S[order] = np.arange(len(order))
    return [own_S[type_S == number] for number in range(len(schema.node_types))], row_S


def joined_block(
    schema: GraphSchema, nodes: Sequence[np.ndarray], found: Sequence[SampledEdges | None]
) -> tuple[TypedBlock, list[np.ndarray]]:
    """The block of the sampled edges of each type, and its sources by node type, the seeds first.

    Args:
        nodes: the seeds of each node type, int64.
        found: for each edge type the in-edges of its seeds; None without any.
    """
    sources: list[list[np.ndarray]] = [[] for _ in nodes]
    for edges, src_type in zip(found, schema.ends[:, 0].tolist(), strict=True):
        if edges is not None:
            sources[src_type].append(edges.source)
    inputs, places = [], []
    for seeds, parts in zip(nodes, sources, strict=True):
        all_sources = np.concatenate([np.zeros(0, np.int64), *parts])
        all_nodes, position = renumber(seeds, all_sources)
        inputs.append(all_nodes)
        places.append(iter(np.split(position, np.cumsum([len(part) for part in parts])[:-1])))
    blocks = {}
    for kind, edges, src_type in zip(
        schema.edge_types, found, schema.ends[:, 0].tolist(), strict=True
    ):
        if edges is None:
            continue
        local = torch.from_numpy(np.ascontiguousarray(next(places[src_type])))
        if len(local):
            weight = None if edges.weight is None else torch.from_numpy(edges.weight)
            indptr = torch.from_numpy(edges.indptr)
            blocks[kind] = Block(indptr, local, len(inputs[src_type]), weight)
    names = schema.node_types
    num_src, num_dst = (
        {name: len(some) for name, some in zip(names, each, strict=True)}
        for each in (inputs, nodes)
    )
    return TypedBlock(blocks, num_src, num_dst), inputs
