"""Embeddings of a few nodes, from sampled neighbours: for graphs where all nodes take too long.

The sampled neighbourhood is found from the last layer down, the embeddings are made from the
first layer up; the store is read in whole blocks, once per layer, for as many nodes as fit.

Legend: Q nodes asked for, n nodes of a layer, e sampled edges, D features, H hidden.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from hvdtma.core.compiled import njit
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import StoredRows, gather
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.dgl_backend import Block, block_of_edges
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.tasks import Model

COPIES = 2  # of inputs, and of what every layer gives
SAMPLED_NODE_BYTES = 32  # its number, its place among others, while a block is made
SAMPLED_EDGE_BYTES = 56  # its ends, as they are drawn, renumbered, and in DGL's own forms


class TooWide(Exception):
    """The neighbourhood of some nodes takes more memory than there is: `needed_bytes`."""

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
    """float32 [Q, H] embeddings of distinct nodes, by the model's encoder in eval mode.

    Args:
        fanouts: neighbours per sampled layer, outermost (input) first; -1 takes all.
        seed: the sample is a function of it and of the nodes.
        limit_bytes: memory to stay within.

    Raises TooWide before a layer is sampled that would take more.
    """
    device, encoder = device or torch.device("cpu"), model.encoder
    rng = np.random.default_rng(seed)
    was_training = encoder.training
    encoder.eval()
    nodes = nodes_Q
    blocks: list[Block] = []
    hops, edges = [len(nodes)], 0
    input_dim = store.feature_dim * (1 + model.first_hop)
    for fanout in reversed(fanouts):
        most = _most_edges(store, nodes, fanout)
        widest = [*hops, min(hops[-1] + most, store.num_nodes)]
        needed = sample_bytes(widest, edges + most, input_dim, encoder.out_dim)
        if needed > limit_bytes:
            raise TooWide(needed)
        block, nodes = _sample(store, nodes, fanout, rng)
        blocks.insert(0, block.to(device))
        hops.append(len(nodes))
        edges += most
    x_nD = torch.from_numpy(gather(StoredRows(store, "feat"), nodes)).float().to(device)
    first_hop = None
    if model.first_hop:
        mean_nD = torch.from_numpy(gather(StoredRows(store, "first_hop"), nodes)).float()
        first_hop = FirstHop(mean_nD, torch.from_numpy(_degrees(store, nodes))).to(device)
    h_QH = encoder(blocks, x_nD, first_hop)
    encoder.train(was_training)
    return h_QH.float().cpu().numpy()


def sample_bytes(hops: list[int], num_edges: int, input_dim: int, hidden: int) -> int:
    """Bytes of a sample with so many nodes by hop, those asked for first, and edges in all."""
    values = hops[-1] * input_dim + sum(hops) * hidden
    return 4 * COPIES * values + SAMPLED_NODE_BYTES * sum(hops) + SAMPLED_EDGE_BYTES * num_edges


def neighbourhood_bytes(
    config: TrainConfig, store: GraphFacts, num_nodes: int, *, all_neighbours: bool = False
) -> int:
    """The memory of `embed_sampled` for so many nodes, at most.

    Args:
        all_neighbours: whether all neighbours are taken, whatever the config's fanouts.

    For layers that take all neighbours, the mean degree is used; nodes can have more.
    """
    hops, edges = [min(num_nodes, store.num_nodes)], 0
    for fanout in reversed(sampled_fanouts(config)):
        every = all_neighbours or fanout < 0
        each = -(-store.num_edges // max(store.num_nodes, 1)) if every else fanout
        edges += hops[-1] * each
        hops.append(min(hops[-1] * (1 + each), store.num_nodes))
    input_dim = store.feature_dim * (1 + config.first_hop)
    return sample_bytes(hops, edges, input_dim, config.model.hidden)


def _most_edges(store: GraphStore, nodes_n: np.ndarray, fanout: int) -> int:
    """How many edges a hop has at most."""
    if fanout > 0:
        return len(nodes_n) * fanout
    return int(_degrees(store, nodes_n).sum(dtype=np.float64))


def _sample(
    store: GraphStore, nodes_n: np.ndarray, fanout: int, rng: np.random.Generator
) -> tuple[Block, np.ndarray]:
    """A block with sampled in-edges of distinct nodes; and its sources, the nodes first."""
    order = np.argsort(nodes_n)
    ascending = nodes_n[order]
    counts, sources = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start, stop in itertools.pairwise(store.block_offsets.tolist()):
        first, last = np.searchsorted(ascending, [start, stop])
        if last > first:
            rows = store.rows(start, stop)
            at = ascending[first:last] - start
            draws = rng.random(int(np.diff(rows.indptr)[at].sum()))
            count, source = _choose(rows.indptr, rows.indices, at, fanout, draws)
            counts.append(count)
            sources.append(source)
    source_e = np.concatenate(sources)
    below = np.concatenate([nodes_n, np.setdiff1d(source_e, ascending)])
    by_number = np.argsort(below)
    src_e = by_number[np.searchsorted(below[by_number], source_e)]
    dst_e = np.repeat(order, np.concatenate(counts))
    edges = torch.from_numpy(src_e), torch.from_numpy(dst_e)
    return block_of_edges(*edges, len(below), len(nodes_n)), below


def _degrees(store: GraphStore, nodes_n: np.ndarray) -> np.ndarray:
    """In-degree of scattered nodes in the training graph, float32 [n]."""
    indptr = StoredRows(store, "indptr")
    return (gather(indptr, nodes_n + 1) - gather(indptr, nodes_n)).astype(np.float32)


@njit()
def _choose(
    indptr: np.ndarray, indices: np.ndarray, rows: np.ndarray, most: int, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Up to `most` sources of each row, uniform without replacement (all if it is negative).

    Reservoir sampling (Vitter, ACM TOMS 1985, algorithm R); `draws` in [0, 1), one per edge.
    """
    count = np.empty(len(rows), np.int64)
    chosen = np.empty(len(draws), np.int64)
    filled = drawn = 0
    for place in range(len(rows)):
        first, degree = indptr[rows[place]], indptr[rows[place] + 1] - indptr[rows[place]]
        size = degree if most < 0 else min(most, degree)
        for edge in range(degree):
            slot = edge if edge < size else int(draws[drawn] * (edge + 1))
            if slot < size:
                chosen[filled + slot] = indices[first + edge]
            drawn += 1
        count[place] = size
        filled += size
    return count, chosen[:filled].copy()
