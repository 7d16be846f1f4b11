"""Embeddings of a few nodes, from sampled neighbours: for graphs where all nodes take too long.

The sampled neighbourhood is found from the last layer down, the embeddings are made from the
first layer up; the store is read in whole blocks, once per layer, for as many nodes as fit.

Legend: Q nodes asked for, n nodes of a layer, e sampled edges, D features, H hidden.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numba import njit

from hvdtma.config import TrainConfig
from hvdtma.dgl_backend import Block, block_of_edges
from hvdtma.evaluate.rows import StoredRows, gather
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.store import GraphStore
from hvdtma.models.encoder import Encoder
from hvdtma.shard.first_hop import FirstHop


@torch.no_grad()
def embed_sampled(
    encoder: Encoder,
    store: GraphStore,
    nodes_Q: np.ndarray,
    fanouts: list[int],
    *,
    seed: int,
    device: torch.device | None = None,
) -> np.ndarray:
    """float32 [Q, H] of distinct nodes, in eval mode, with the sampled layers' `fanouts`.

    Args:
        fanouts: neighbours per sampled layer, outermost (input) first; -1 takes all.
        seed: the sample is a function of it and of the nodes.
    """
    device = device or torch.device("cpu")
    rng = np.random.default_rng(seed)
    was_training = encoder.training
    encoder.eval()
    nodes = nodes_Q
    blocks: list[Block] = []
    for fanout in reversed(fanouts):
        block, nodes = _sample(store, nodes, fanout, rng)
        blocks.insert(0, block.to(device))
    x_nD = torch.from_numpy(gather(StoredRows(store, "feat"), nodes)).float().to(device)
    hop = None
    if encoder.first_hop:
        mean_nD = torch.from_numpy(gather(StoredRows(store, "first_hop"), nodes)).float()
        hop = FirstHop(mean_nD, torch.from_numpy(_degrees(store, nodes))).to(device)
    h_QH = encoder(blocks, x_nD, hop)
    encoder.train(was_training)
    return h_QH.float().cpu().numpy()


def bytes_per_node(config: TrainConfig, store: GraphFacts, fanouts: list[int]) -> int:
    """What `embed_sampled` takes in memory for a node that is asked for, at most."""
    width, outputs = 1, 1
    for fanout in reversed(fanouts):
        width *= 1 + (fanout if fanout > 0 else -(-store.num_edges // max(store.num_nodes, 1)))
        outputs += width
    inputs = width * store.feature_dim * (1 + config.first_hop)
    return 4 * (2 * inputs + 2 * outputs * config.model.hidden) + 24 * outputs


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


@njit(cache=True)
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
