"""Negative links for training, drawn in one of four ways.

A negative is a pair (row, node): the source of positive number `row`, linked to `node`. No negative
is an edge of the shard in either direction, or a loop. A trainer does not know the links of its
nodes outside its shard, so a negative can be such a link.

Legend: B positives of a batch, K negatives per positive, Q negatives in all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hvdtma.sampling.shard import Shard

TRIES = 20  # then a source that is linked to nearly all nodes gets fewer negatives

Negatives = tuple[np.ndarray, np.ndarray]  # row int64 [Q], node int64 [Q]


def local(
    shard: Shard, src_B: np.ndarray, dst_B: np.ndarray, num_negatives: int, rng: np.random.Generator
) -> Negatives:
    """K destinations per positive, uniform over the trainer's own nodes."""
    return _uniform(shard, src_B, num_negatives, shard.num_own, rng)


def global_uniform(
    shard: Shard, src_B: np.ndarray, dst_B: np.ndarray, num_negatives: int, rng: np.random.Generator
) -> Negatives:
    """K destinations per positive, uniform over all nodes of the graph.

    Nodes of other trainers come with features and first hop, but without neighbours to sample.
    """
    return _uniform(shard, src_B, num_negatives, shard.num_nodes, rng)


def joint(
    shard: Shard, src_B: np.ndarray, dst_B: np.ndarray, num_negatives: int, rng: np.random.Generator
) -> Negatives:
    """One set of K own nodes, shared by all positives of the batch (as in DGL-KE)."""
    drawn_K = rng.integers(0, shard.num_own, num_negatives)
    row = np.repeat(np.arange(len(src_B)), num_negatives)
    node = np.tile(drawn_K, len(src_B))
    return _without_links(shard, src_B, row, node)


def in_batch(
    shard: Shard, src_B: np.ndarray, dst_B: np.ndarray, num_negatives: int, rng: np.random.Generator
) -> Negatives:
    """K destinations per positive, taken from the batch's other positives: drawn by degree."""
    if len(src_B) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    row = np.repeat(np.arange(len(src_B)), num_negatives)
    shift = rng.integers(1, len(src_B), len(row))
    return _without_links(shard, src_B, row, dst_B[(row + shift) % len(src_B)])


NEGATIVES: dict[str, Callable[..., Negatives]] = {
    "local": local,
    "global": global_uniform,
    "joint": joint,
    "in-batch": in_batch,
}


def _uniform(
    shard: Shard, src_B: np.ndarray, num_negatives: int, num_nodes: int, rng: np.random.Generator
) -> Negatives:
    row = np.repeat(np.arange(len(src_B)), num_negatives)
    node = rng.integers(0, num_nodes, len(row))
    for _ in range(TRIES):
        rejected = np.flatnonzero(_is_link(shard, src_B[row], node))
        if not len(rejected):
            return row, node
        node[rejected] = rng.integers(0, num_nodes, len(rejected))
    return _without_links(shard, src_B, row, node)


def _without_links(shard: Shard, src_B: np.ndarray, row: np.ndarray, node: np.ndarray) -> Negatives:
    accepted = ~_is_link(shard, src_B[row], node)
    return row[accepted], node[accepted]


def _is_link(shard: Shard, src_Q: np.ndarray, node_Q: np.ndarray) -> np.ndarray:
    csc = shard.csc
    return csc.has_edges(src_Q, node_Q) | csc.has_edges(node_Q, src_Q) | (src_Q == node_Q)
