"""Embeddings of some nodes from sampled neighbours, for graphs where embedding all takes too long.

Neighbours are sampled from the last layer to the first; embeddings are computed from the first
layer to the last. Each layer reads whole blocks of the store, once for all nodes.

Legend: Q requested nodes, n nodes of a layer, e sampled edges, D features, H hidden.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch

from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.typed_sampled import TypedLimit, embed_typed_sampled
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import StoredRows, gather
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.block import Block, block_between
from hvdtma.sampling.draws import layer_key, sample_edges
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.tasks import Model

COPIES = 2  # of the inputs, and of each layer's output
SAMPLED_NODE_BYTES = 32  # node number and position, while a block is made
SAMPLED_EDGE_BYTES = 56  # both ends: as sampled, renumbered, and in DGL's formats
WEIGHT_BYTES = 12  # per edge: its weight as sampled and joined, and relative to others
PROJECTED_COPIES = 2  # values per edge type, besides the first hop's: its degree


class NeighbourhoodTooLarge(Exception):
    """The neighbourhood of the requested nodes does not fit in memory: it takes `needed_bytes`."""

    def __init__(self, needed_bytes: int):
        super().__init__(needed_bytes)
        self.needed_bytes = needed_bytes


@torch.no_grad()
def embed_sampled(
    model: Model,
    store: GraphStore,
    nodes_Q: np.ndarray,
    fanouts: list[int],
    *,
    seed: int,
    device: torch.device | None = None,
    limit_bytes: int = 1 << 62,
) -> np.ndarray:
    """Embed distinct nodes with the model's encoder in eval mode: float32 [Q, H].

    Args:
        fanouts: neighbours per node for each sampled layer, input layer first; -1 takes all.
        seed: with the nodes, determines the sample.
        limit_bytes: memory limit.

    Raises NeighbourhoodTooLarge before sampling a layer that would exceed the limit.
    """
    device, encoder = device or torch.device("cpu"), model.encoder
    was_training = encoder.training
    encoder.eval()
    if store.schema is not None:
        limit = TypedLimit(limit_bytes, _bytes_of(store, model), NeighbourhoodTooLarge)
        rows_QH = embed_typed_sampled(
            model, store, nodes_Q, fanouts, seed=seed, device=device, check=limit
        )
        encoder.train(was_training)
        return rows_QH
    nodes = nodes_Q
    blocks: list[Block] = []
    hops, edges = [len(nodes)], 0
    input_dim = store.feature_dim * (1 + model.first_hop)
    for layer, fanout in enumerate(reversed(fanouts)):
        max_edges = _max_edges(store, nodes, fanout)
        max_hops = [*hops, min(hops[-1] + max_edges, store.num_nodes)]
        sizes = max_hops, edges + max_edges, input_dim, encoder.out_dim
        needed = sample_bytes(*sizes, weighted=store.weighted)
        if needed > limit_bytes:
            raise NeighbourhoodTooLarge(needed)
        block, nodes = _sample(store, nodes, fanout, layer_key(seed, layer))
        blocks.insert(0, block.to(device))
        hops.append(len(nodes))
        edges += max_edges
    x_nD = torch.from_numpy(gather(StoredRows(store, "feat"), nodes)).float().to(device)
    first_hop = None
    if model.first_hop:
        mean_nD = torch.from_numpy(gather(StoredRows(store, "first_hop"), nodes)).float()
        weight = gather(StoredRows(store, "in_weight"), nodes) if store.weighted else None
        first_hop = FirstHop(
            mean_nD,
            torch.from_numpy(_degrees(store, nodes)),
            None if weight is None else torch.from_numpy(weight),
        ).to(device)
    h_QH = encoder(blocks, x_nD, first_hop)
    encoder.train(was_training)
    return h_QH.float().cpu().numpy()


def _bytes_of(store: GraphStore, model: Model) -> Callable[[list[int], int], int]:
    """`sample_bytes` of a typed store, for the node type with the widest rows."""
    width = widest_input(store, first_hop=model.first_hop)

    def bytes_of(hops: list[int], num_edges: int) -> int:
        return sample_bytes(hops, num_edges, width, model.encoder.out_dim)

    return bytes_of


def widest_input(store: GraphFacts, *, first_hop: bool) -> int:
    """The values that an encoder reads of a node: features and first hop, of the widest type."""
    schema = store.schema
    if schema is None:
        return store.feature_dim * (1 + first_hop)
    widths = (
        dim + schema.hop_dim(number) * first_hop + PROJECTED_COPIES * len(schema.into(number))
        for number, dim in enumerate(schema.dims)
    )
    return max(widths)


def most_input(store: GraphFacts, rows: int, num_nodes: int, *, first_hop: bool) -> int:
    """The values that an encoder reads of so many nodes, at most.

    Few nodes of a typed graph have edges of every type, so their first hop is also bounded by that
    of all nodes.

    Args:
        num_nodes: that the rows are chosen from.
    """
    most = rows * widest_input(store, first_hop=first_hop)
    if store.schema is None or not first_hop:
        return most
    of_features = rows * widest_input(store, first_hop=False)
    return min(most, of_features + num_nodes * store.hop_dim)


def sample_bytes(
    hops: list[int], num_edges: int, input_dim: int, hidden: int, *, weighted: bool = False
) -> int:
    """Bytes of a sample.

    Args:
        hops: number of nodes of each layer, from the requested nodes to the input nodes.
        num_edges: edges of all layers.
    """
    values = hops[-1] * input_dim + sum(hops) * hidden
    edge_bytes = SAMPLED_EDGE_BYTES + WEIGHT_BYTES * weighted
    return 4 * COPIES * values + SAMPLED_NODE_BYTES * sum(hops) + edge_bytes * num_edges


def neighbourhood_bytes(
    config: TrainConfig, store: GraphFacts, num_nodes: int, *, all_neighbours: bool = False
) -> int:
    """The memory of `embed_sampled` for so many nodes, at most.

    Args:
        all_neighbours: whether all neighbours are taken, whatever the config's fanouts.

    For layers that take all neighbours, the mean degree is used; nodes can have more.
    """
    hops, edges = [min(num_nodes, store.num_nodes)], 0
    schema = store.schema
    kinds = 1 if schema is None else max(len(schema.into(t)) for t in range(len(schema.dims)))
    for fanout in reversed(sampled_fanouts(config)):
        every = all_neighbours or fanout < 0
        each = -(-store.num_edges // max(store.num_nodes, 1)) if every else fanout * kinds
        edges += hops[-1] * each
        hops.append(min(hops[-1] * (1 + each), store.num_nodes))
    input_dim = widest_input(store, first_hop=config.first_hop)
    return sample_bytes(hops, edges, input_dim, config.model.hidden, weighted="weight" in store)


def _max_edges(store: GraphStore, nodes_n: np.ndarray, fanout: int) -> int:
    """The largest number of edges that a layer can sample."""
    if fanout > 0:
        return len(nodes_n) * fanout
    return int(_degrees(store, nodes_n).sum(dtype=np.float64))


def _sample(
    store: GraphStore, nodes_n: np.ndarray, fanout: int, key: int
) -> tuple[Block, np.ndarray]:
    """A block of sampled in-edges of distinct nodes, and its sources, the nodes first."""
    order = np.argsort(nodes_n)
    ascending = nodes_n[order]
    counts, sources = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    weights = [np.zeros(0, np.float32)]
    for start, stop in itertools.pairwise(store.block_offsets.tolist()):
        first, last = np.searchsorted(ascending, [start, stop])
        if last > first:
            rows = store.rows(start, stop)
            row = ascending[first:last] - start
            sampled = sample_edges(rows, row, fanout, key, first_node=start)
            counts.append(np.diff(sampled.indptr))
            sources.append(sampled.source)
            if sampled.weight is not None:
                weights.append(sampled.weight)
    src_e, dst_e = np.concatenate(sources), np.repeat(order, np.concatenate(counts))
    weight_e = torch.from_numpy(np.concatenate(weights)) if store.weighted else None
    block, inputs = block_between(
        torch.from_numpy(src_e), torch.from_numpy(dst_e), torch.from_numpy(nodes_n), weight_e
    )
    return block, inputs.numpy()


def _degrees(store: GraphStore, nodes_n: np.ndarray) -> np.ndarray:
    """In-degree of scattered nodes in the training graph, float32 [n]."""
    indptr = StoredRows(store, "indptr")
    return (gather(indptr, nodes_n + 1) - gather(indptr, nodes_n)).astype(np.float32)
