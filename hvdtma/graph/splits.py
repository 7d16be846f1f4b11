"""Holding out links and nodes for scoring, and the negatives they are ranked against.

Legend: N nodes, E edges, n held-out pairs, K negatives per pair.

Links are held out as unordered pairs, before an undirected graph is mirrored: neither direction
of a held-out pair, nor a parallel edge of another type, is left in the training graph.
"""

from __future__ import annotations

import numpy as np

from hvdtma.errors import UserError
from hvdtma.graph.csc import CSC, build_csc
from hvdtma.graph.raw import PARTS, Pairs


def pair_key(src: np.ndarray, dst: np.ndarray, num_nodes: int) -> np.ndarray:
    """One int64 per unordered pair, the same for both directions."""
    return np.minimum(src, dst).astype(np.int64) * num_nodes + np.maximum(src, dst)


def part_sizes(total: int, valid: float, test: float, what: str) -> tuple[int, int]:
    """How many of `total` go to valid and test; below 1 is a share, from 1 on a count."""
    sizes = [round(size * total) if size < 1 else int(size) for size in (valid, test)]
    for name, size, asked in zip(("valid", "test"), sizes, (valid, test), strict=True):
        if size < 1:
            raise UserError(
                f"the {name} split would be empty: {asked} of {total} {what}; "
                f"give --{name} a larger share (or a count, from 1 on)"
            )
    if sum(sizes) >= total:
        raise UserError(
            f"valid and test would take {sum(sizes)} of {total} {what} and leave none to train on"
        )
    return sizes[0], sizes[1]


def hold_out_links(
    src_E: np.ndarray,
    dst_E: np.ndarray,
    edge_type_E: np.ndarray | None,
    num_nodes: int,
    *,
    undirected: bool,
    valid: float,
    test: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, dict[str, Pairs]]:
    """Choose unordered pairs for valid and test.

    Returns a mask bool [E] of the edges left to train on, and the held-out pairs by part. An
    undirected pair is given either of its two directions by a coin, so that negatives replace
    either end.
    """
    _, pair_E = np.unique(pair_key(src_E, dst_E, num_nodes), return_inverse=True)
    num_pairs = int(pair_E.max(initial=-1)) + 1
    sizes = part_sizes(num_pairs, valid, test, "links")
    part_of_pair = np.zeros(num_pairs, np.int8)
    chosen = rng.permutation(num_pairs)
    part_of_pair[chosen[: sizes[0]]] = 1
    part_of_pair[chosen[sizes[0] : sum(sizes)]] = 2
    part_E = part_of_pair[pair_E]
    held_out = {}
    for number, part in ((1, "valid"), (2, "test")):
        edges = rng.permutation(np.flatnonzero(part_E == number))
        src, dst = src_E[edges], dst_E[edges]
        if undirected:
            turned = rng.random(len(edges)) < 0.5
            src, dst = np.where(turned, dst, src), np.where(turned, src, dst)
        types = None if edge_type_E is None else edge_type_E[edges].astype(np.int16)
        held_out[part] = Pairs(src, dst, edge_type=types)
    return part_E == 0, held_out


def hold_out_nodes(
    label_N: np.ndarray, valid: float, test: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Labelled nodes by part, each ascending."""
    labelled = rng.permutation(np.flatnonzero(label_N >= 0))
    sizes = part_sizes(len(labelled), valid, test, "labelled nodes")
    pieces = np.split(labelled, [len(labelled) - sum(sizes), len(labelled) - sizes[1]])
    return {part: np.sort(nodes) for part, nodes in zip(PARTS, pieces, strict=True)}


def draw_negatives(
    src_n: np.ndarray,
    known: Pairs,
    num_nodes: int,
    num_negatives: int,
    *,
    undirected: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Destinations [n, K], uniform over all nodes but src itself and those src is linked to.

    Args:
        known: every edge of the graph, of all parts of the split.

    Drawn with replacement; a draw that hits a known edge is drawn again, which keeps the rest
    uniform. Raises UserError if a source is linked to every node.
    """
    sources, targets = known.src, known.dst
    if undirected:
        sources, targets = np.r_[known.src, known.dst], np.r_[known.dst, known.src]
    targets_of = build_csc(targets, sources, num_nodes)  # row u: everything u is linked to
    full = np.flatnonzero(_distinct(targets_of)[src_n] >= num_nodes - 1)
    if len(full):
        raise UserError(
            f"{len(full)} held-out pairs have a source that is linked to every node: "
            "there is no negative for them"
        )
    neg_nK = rng.integers(0, num_nodes, size=(len(src_n), num_negatives), dtype=np.int64)
    row, column = np.divmod(np.arange(neg_nK.size), num_negatives)
    while len(row):
        drawn, source = neg_nK[row, column], src_n[row]
        wrong = targets_of.has_edges(drawn, source) | (drawn == source)
        row, column = row[wrong], column[wrong]
        neg_nK[row, column] = rng.integers(0, num_nodes, size=len(row))
    return neg_nK


def _distinct(csc: CSC) -> np.ndarray:
    """How many distinct neighbours each row has."""
    first = np.ones(csc.num_edges, bool)
    first[1:] = np.diff(csc.indices) != 0
    first[csc.indptr[:-1][np.diff(csc.indptr) > 0]] = True
    return np.bincount(csc.destinations()[first], minlength=csc.num_nodes)
