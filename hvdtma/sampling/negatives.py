"""Negative links for training, drawn in one of four ways.

A negative is a pair (row, node): the source of positive number `row`, linked to `node`. No negative
is an edge of the shard in either direction, or a loop. A trainer does not know the links of its
nodes outside its shard, so a negative can be such a link.

`set_B` is the set of candidates of each positive (`Candidates.sets_for`), or None for all nodes.
The node of a negative is from the set of its positive.

Legend: B positives of a batch, K negatives per positive, Q negatives in all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hvdtma.graph.candidates import ALL_NODES
from hvdtma.sampling.shard import Shard

TRIES = 20  # then a source that is linked to nearly all nodes gets fewer negatives

Negatives = tuple[np.ndarray, np.ndarray]  # row int64 [Q], node int64 [Q]


def local(
    shard: Shard,
    src_B: np.ndarray,
    dst_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
) -> Negatives:
    """K destinations per positive, uniform over the trainer's own nodes."""
    return _uniform(shard, src_B, num_negatives, shard.num_own, rng, set_B)


def global_uniform(
    shard: Shard,
    src_B: np.ndarray,
    dst_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
) -> Negatives:
    """K destinations per positive, uniform over all nodes of the graph.

    Nodes of other trainers come with features and first hop, but without neighbours to sample.
    """
    return _uniform(shard, src_B, num_negatives, shard.num_nodes, rng, set_B)


def joint(
    shard: Shard,
    src_B: np.ndarray,
    dst_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
) -> Negatives:
    """K own nodes of each set of candidates, shared by all its positives (as in DGL-KE)."""
    drawn = [np.zeros((2, 0), np.int64)]
    for at in _groups(len(src_B), set_B):
        number = ALL_NODES if set_B is None else int(set_B[at[0]])
        drawn_K = _draw(shard, np.full(num_negatives, number), shard.num_own, rng)
        drawn.append(np.stack([np.repeat(at, num_negatives), np.tile(drawn_K, len(at))]))
    row, node = np.concatenate(drawn, axis=1)
    return _without_links(shard, src_B, row, node)


def in_batch(
    shard: Shard,
    src_B: np.ndarray,
    dst_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
) -> Negatives:
    """K destinations per positive, taken from the batch's other positives: drawn by degree.

    The other positives have the same set of candidates.
    """
    drawn = [np.zeros((2, 0), np.int64)]
    for at in _groups(len(src_B), set_B):
        if len(at) < 2:
            continue
        place = np.repeat(np.arange(len(at)), num_negatives)
        shift = rng.integers(1, len(at), len(place))
        drawn.append(np.stack([at[place], dst_B[at[(place + shift) % len(at)]]]))
    row, node = np.concatenate(drawn, axis=1)
    return _without_links(shard, src_B, row, node)


NEGATIVES: dict[str, Callable[..., Negatives]] = {
    "local": local,
    "global": global_uniform,
    "joint": joint,
    "in-batch": in_batch,
}


def _uniform(
    shard: Shard,
    src_B: np.ndarray,
    num_negatives: int,
    end: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None,
) -> Negatives:
    """K nodes below `end` per positive, uniform over those of its set."""
    row = np.repeat(np.arange(len(src_B)), num_negatives)
    set_Q = np.full(len(row), ALL_NODES) if set_B is None else set_B[row]
    node = _draw(shard, set_Q, end, rng)
    for _ in range(TRIES):
        rejected = np.flatnonzero(_is_link(shard, src_B[row], node))
        if not len(rejected):
            return row, node
        node[rejected] = _draw(shard, set_Q[rejected], end, rng)
    return _without_links(shard, src_B, row, node)


def _draw(shard: Shard, set_Q: np.ndarray, end: int, rng: np.random.Generator) -> np.ndarray:
    if shard.candidates is None:
        return rng.integers(0, end, len(set_Q))
    return shard.candidates.draw(set_Q, rng, end)


def _groups(num_positives: int, set_B: np.ndarray | None) -> list[np.ndarray]:
    """The numbers of the positives, ascending, grouped by their sets."""
    if set_B is None:
        return [np.arange(num_positives)]
    return [np.flatnonzero(set_B == number) for number in np.unique(set_B)]


def _without_links(shard: Shard, src_B: np.ndarray, row: np.ndarray, node: np.ndarray) -> Negatives:
    accepted = ~_is_link(shard, src_B[row], node)
    return row[accepted], node[accepted]


def _is_link(shard: Shard, src_Q: np.ndarray, node_Q: np.ndarray) -> np.ndarray:
    csc = shard.csc
    return csc.has_edges(src_Q, node_Q) | csc.has_edges(node_Q, src_Q) | (src_Q == node_Q)
