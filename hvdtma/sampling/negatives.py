"""Negative links for training: some for each positive, or a set that positives share.

A negative replaces one end of a positive; the other end is kept. No negative is an edge of the
shard in either direction, or a loop. A trainer does not know the links of its nodes outside its
shard, so a negative can be such a link.

`kept_B` is the end of each positive that is kept, `replaced_B` the other one. `set_B` is the set of
candidates of each positive (`Candidates.sets_for`), or None for all nodes: the node of a negative
is from the set of its positive.

Legend: B positives of a batch, K negatives, Q negatives in all, b positives that share negatives, M
pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.candidates import ALL_NODES
from hvdtma.sampling.shard import Shard

TRIES = 20  # then a source that is linked to nearly all nodes gets fewer negatives


@dataclass(frozen=True)
class Pool:
    """The nodes that negatives are drawn from, uniformly.

    Attributes:
        shard: the trainer's shard.
        end: nodes below this local number are drawn.
        nodes: int64, ascending; if given, only these are drawn.
    """

    shard: Shard
    end: int
    nodes: np.ndarray | None = None

    @classmethod
    def of(cls, shard: Shard, kind: str, nodes: np.ndarray | None = None) -> Pool:
        """The pool of `task.negatives`: all nodes if it is `global`.

        Args:
            nodes: the trainer's nodes to draw from if it is `local`; None: all of them.
        """
        if kind == "global":
            return cls(shard, shard.num_nodes)
        return cls(shard, shard.num_own, nodes)

    def draw(self, set_Q: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """int64 [Q]: a node of each set of candidates."""
        candidates = self.shard.candidates
        if candidates is None:
            number = self.end if self.nodes is None else len(self.nodes)
            drawn_Q = rng.integers(0, number, len(set_Q))
            return drawn_Q if self.nodes is None else self.nodes[drawn_Q]
        if self.nodes is None:
            return candidates.draw(set_Q, rng, self.end)
        node_Q = np.empty(len(set_Q), np.int64)
        for number in np.unique(set_Q).tolist():
            at = np.flatnonzero(set_Q == number)
            nodes = self.nodes[candidates.contain(number, self.nodes)]
            node_Q[at] = nodes[rng.integers(0, len(nodes), len(at))]
        return node_Q


def own_negatives(
    pool: Pool,
    kept_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """K negatives for each positive: the positive's number int64 [Q], and the node int64 [Q]."""
    row = np.repeat(np.arange(len(kept_B)), num_negatives)
    set_Q = np.full(len(row), ALL_NODES) if set_B is None else set_B[row]
    node = pool.draw(set_Q, rng)
    for _ in range(TRIES):
        rejected = np.flatnonzero(_is_link(pool.shard, kept_B[row], node))
        if not len(rejected):
            return row, node
        node[rejected] = pool.draw(set_Q[rejected], rng)
    return _without_links(pool.shard, kept_B, row, node)


def in_batch_negatives(
    shard: Shard,
    kept_B: np.ndarray,
    replaced_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """K negatives for each positive from the batch's other positives: drawn by degree.

    The other positives have the same set of candidates.
    """
    drawn = [np.zeros((2, 0), np.int64)]
    for at in _groups(len(kept_B), set_B):
        if len(at) < 2:
            continue
        place = np.repeat(np.arange(len(at)), num_negatives)
        shift = rng.integers(1, len(at), len(place))
        drawn.append(np.stack([at[place], replaced_B[at[(place + shift) % len(at)]]]))
    row, node = np.concatenate(drawn, axis=1)
    return _without_links(shard, kept_B, row, node)


@dataclass(frozen=True)
class SharedNegatives:
    """Nodes that are negatives of several positives.

    Attributes:
        row: int64 [b] numbers of the positives, ascending.
        node: int64 [K] distinct nodes.
        linked: int64 [2, M] positions in `row` and in `node` of pairs that are links or loops, and
            so no negatives.
        of_sources: whether the nodes replace sources; destinations otherwise.
    """

    row: np.ndarray
    node: np.ndarray
    linked: np.ndarray
    of_sources: bool = False


def shared_negatives(
    pool: Pool,
    kept_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
    turned_B: np.ndarray | None = None,
) -> list[SharedNegatives]:
    """For each set of candidates and each end, at most K nodes that its positives share.

    Args:
        turned_B: bool, whether the source of each positive is replaced; None: of none.
    """

    def draw(row_b: np.ndarray) -> np.ndarray:
        number = ALL_NODES if set_B is None else int(set_B[row_b[0]])
        return np.unique(pool.draw(np.full(num_negatives, number), rng))

    return _shared(pool.shard, kept_B, set_B, turned_B, draw)


def shared_in_batch(
    shard: Shard,
    kept_B: np.ndarray,
    replaced_B: np.ndarray,
    num_negatives: int,
    rng: np.random.Generator,
    set_B: np.ndarray | None = None,
    turned_B: np.ndarray | None = None,
) -> list[SharedNegatives]:
    """The same, from the replaced ends of the batch."""

    def draw(row_b: np.ndarray) -> np.ndarray:
        node = np.unique(replaced_B[row_b])
        if len(node) > num_negatives:
            node = np.sort(rng.choice(node, num_negatives, replace=False))
        return node

    return _shared(shard, kept_B, set_B, turned_B, draw)


def _shared(
    shard: Shard,
    kept_B: np.ndarray,
    set_B: np.ndarray | None,
    turned_B: np.ndarray | None,
    draw: Callable[[np.ndarray], np.ndarray],
) -> list[SharedNegatives]:
    """The negatives of each group of positives: the distinct nodes that `draw` gives for it."""
    csc, shared = shard.csc, []
    for row in _groups(len(kept_B), set_B, turned_B):
        node = draw(row)
        source, position = np.unique(kept_B[row], return_inverse=True)
        is_link = _links_between(csc.indptr, csc.indices, source, node)
        is_link |= _links_between(csc.indptr, csc.indices, node, source).T
        is_link |= source[:, None] == node
        of_sources = turned_B is not None and bool(turned_B[row[0]])
        linked = np.stack(np.nonzero(is_link[position]))
        shared.append(SharedNegatives(row, node, linked, of_sources))
    return shared


@njit(nogil=True)
def _links_between(
    indptr: np.ndarray, indices: np.ndarray, rows: np.ndarray, nodes: np.ndarray
) -> np.ndarray:
    """Bool [rows, nodes]: whether each row has an in-edge from each node; nodes ascend."""
    found = np.zeros((len(rows), len(nodes)), np.bool_)
    for number in range(len(rows)):
        first, end = indptr[rows[number]], indptr[rows[number] + 1]
        if end - first < len(nodes):
            for edge in range(first, end):
                place = np.searchsorted(nodes, indices[edge])
                if place < len(nodes) and nodes[place] == indices[edge]:
                    found[number, place] = True
        else:
            for place in range(len(nodes)):
                edge = first + np.searchsorted(indices[first:end], nodes[place])
                found[number, place] = edge < end and indices[edge] == nodes[place]
    return found


def _groups(
    num_positives: int, set_B: np.ndarray | None, turned_B: np.ndarray | None = None
) -> list[np.ndarray]:
    """The numbers of the positives, ascending, grouped by their sets and replaced ends."""
    key_B = np.zeros(num_positives, np.int64) if set_B is None else 2 * set_B.astype(np.int64)
    if turned_B is not None:
        key_B = key_B + turned_B
    return [np.flatnonzero(key_B == key) for key in np.unique(key_B)]


def _without_links(
    shard: Shard, kept_B: np.ndarray, row: np.ndarray, node: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    accepted = ~_is_link(shard, kept_B[row], node)
    return row[accepted], node[accepted]


def _is_link(shard: Shard, src_Q: np.ndarray, node_Q: np.ndarray) -> np.ndarray:
    csc = shard.csc
    return csc.has_edges(src_Q, node_Q) | csc.has_edges(node_Q, src_Q) | (src_Q == node_Q)
