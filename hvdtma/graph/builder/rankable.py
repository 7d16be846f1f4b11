"""Keep only held-out links that have a negative to be ranked against.

A source that is linked to each of its candidates, such as the centre of a star, has none. Then the
other end of an undirected link becomes the source. A link without negatives at both ends stays in
the training graph. In a directed graph a link is not turned around: negatives replace destinations.

Legend: N nodes, E edges, H held-out pairs, n given pairs, Q links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import HELD_OUT_PARTS
from hvdtma.graph.builder.sides import SideRecorder
from hvdtma.graph.candidates import Candidates
from hvdtma.graph.sort.edge_sorter import EdgeSorter
from hvdtma.graph.source import Pairs
from hvdtma.graph.splits import pair_key

NO_PART = -1


@dataclass
class FullSources:
    """The edges of the nodes that may be linked to each of their candidates.

    Attributes:
        edges: the distinct edges that begin at these nodes, with types; both directions of
            undirected edges.
        beside: further edges that begin at these nodes and that no negative may be.
        candidates: of the store.
    """

    edges: Pairs
    beside: Pairs
    candidates: Candidates

    def lack_negatives(
        self, src_Q: np.ndarray, dst_Q: np.ndarray, type_Q: np.ndarray | None
    ) -> np.ndarray:
        """Bool [Q]: whether no node can replace the destination of a link."""
        src, dst = np.r_[self.edges.src, self.beside.src], np.r_[self.edges.dst, self.beside.dst]
        sources = np.unique(src)
        set_Q = self.candidates.sets_for(dst_Q, type_Q)
        left_Q = self.candidates.sizes(set_Q) - self.candidates.contain(set_Q, src_Q)
        pair = np.unique(np.stack([src, dst]), axis=1)
        row_Q = np.searchsorted(sources, src_Q)
        of_these_Q = np.isin(src_Q, sources)
        for number in np.unique(set_Q[of_these_Q]).tolist():
            inside = self.candidates.contain(number, pair[1])
            linked = np.bincount(np.searchsorted(sources, pair[0, inside]), minlength=len(sources))
            at = np.flatnonzero(of_these_Q & (set_Q == number))
            left_Q[at] -= linked[row_Q[at]]
        return of_these_Q & (left_Q < 1)


def full_sources(
    pairs: Pairs,
    sorter: EdgeSorter,
    sides: SideRecorder,
    candidates: Candidates,
    order_N: np.ndarray,
    beside: Pairs,
) -> FullSources | None:
    """The ends of some pairs that may be linked to each of their candidates; None without any.

    Args:
        pairs: held-out pairs in the store's numbers; the recorder has seen them.
        sorter: with all edges scattered. They are read once more only for such ends.
        order_N: the input's node at each position of the store; empty to keep the order.
        beside: edges that the sorter does not have: given pairs, or edges that a split by time
            dropped.
    """
    ends = np.unique(np.r_[pairs.src, pairs.dst])
    used = np.array([*candidates.rules.src, *candidates.rules.dst])
    least = int(candidates.sizes(used).min())
    given_numbers = order_N[ends] if len(order_N) else ends
    ends = ends[sides.degree_bound(given_numbers) >= least - 1]
    if not len(ends):
        return None
    marked_N = np.zeros(sorter.num_nodes, bool)
    marked_N[ends] = True
    src, dst, types = sorter.edges_from(marked_N)
    if sorter.mirror:
        beside = Pairs(np.r_[beside.src, beside.dst], np.r_[beside.dst, beside.src])
    beside = beside.take(marked_N[beside.src] & (beside.src != beside.dst))
    return FullSources(Pairs(src, dst, edge_type=types), beside, candidates)


def rankable_picks(
    pairs: Pairs,
    part_H: np.ndarray,
    full: FullSources | None,
    undirected: bool,
    *,
    stay: bool = True,
    types: Sequence[int] | None = None,
) -> tuple[Pairs, np.ndarray, dict[str, int]]:
    """The picked pairs that have negatives, turned where needed; their parts; and counts.

    Other pairs stay in training; without `stay`, as in a split by time, they keep their place with
    the part `NO_PART`, so that they are in no part and not in training. A directed pair is left out
    if one of its edges has no negatives; with `types`, only edges of these types count. Raises
    UserError if a part of the split becomes empty.
    """
    if full is None:
        return pairs, part_H, {}
    edges, num_nodes = full.edges, full.candidates.num_nodes
    key_H = pair_key(pairs.src, pairs.dst, num_nodes)
    order = np.argsort(key_H)
    key_E = pair_key(edges.src, edges.dst, num_nodes)
    pair_E = order[np.searchsorted(key_H[order], key_E).clip(max=len(order) - 1)]
    picked = np.flatnonzero(key_H[pair_E] == key_E)
    if types is not None and edges.edge_type is not None:
        picked = picked[np.isin(edges.edge_type[picked], types)]
    edges, pair_E = edges.take(picked), pair_E[picked]
    lack_E = full.lack_negatives(edges.src, edges.dst, edges.edge_type)
    forward_E = edges.src == pairs.src[pair_E]
    lack_H2 = np.zeros((len(pairs), 2), bool)  # in the direction of the pair, and in the other one
    lack_H2[pair_E[lack_E & forward_E], 0] = True
    lack_H2[pair_E[lack_E & ~forward_E], 1] = True
    forward_H, backward_H = lack_H2.T
    turned_H = forward_H & ~backward_H & undirected
    stays_H = forward_H & backward_H if undirected else forward_H | backward_H
    for part, name in enumerate(HELD_OUT_PARTS):
        if (part_H == part).any() and stays_H[part_H == part].all():
            raise UserError(_empty(name, int((part_H == part).sum()), undirected))
    counts = {"held_out_links_turned_around": int(turned_H.sum())}
    if not stay:
        counts["held_out_links_dropped_without_negatives"] = int(stays_H.sum())
        return _turned(pairs, turned_H), np.where(stays_H, NO_PART, part_H), counts
    counts["links_kept_for_training_without_negatives"] = int(stays_H.sum())
    kept = np.flatnonzero(~stays_H)
    return _turned(pairs, turned_H).take(kept), part_H[kept], counts


def rankable_given(
    split: dict[str, Pairs], full: FullSources | None, undirected: bool
) -> tuple[dict[str, Pairs], dict[str, int]]:
    """The given pairs, turned where needed, and counts.

    Pairs with given negatives stay as they are. Raises UserError for a pair without negatives.
    """
    if full is None:
        return split, {}
    rankable, num_turned = dict(split), 0
    for part, pairs in split.items():
        if pairs.neg is not None:
            continue
        lack_n = full.lack_negatives(pairs.src, pairs.dst, pairs.edge_type)
        turned_n = np.zeros(len(pairs), bool)
        if undirected:
            turned_n = lack_n & ~full.lack_negatives(pairs.dst, pairs.src, pairs.edge_type)
        if (lack_n & ~turned_n).any():
            raise UserError(
                f"{(lack_n & ~turned_n).sum()} pairs of the given {part} split have a source that "
                f"is linked to every candidate, so they have no negatives; leave them out of the "
                f"split, or give {part}_neg"
            )
        rankable[part] = _turned(pairs, turned_n)
        num_turned += int(turned_n.sum())
    return rankable, {"held_out_links_turned_around": num_turned}


def _turned(pairs: Pairs, turned_n: np.ndarray) -> Pairs:
    src, dst = (
        np.where(turned_n, *ends) for ends in ((pairs.dst, pairs.src), (pairs.src, pairs.dst))
    )
    return replace(pairs, src=src, dst=dst)


def _empty(part: str, number: int, undirected: bool) -> str:
    ends = "ends that are" if undirected else "a source that is"
    return (
        f"the {part} split would be empty: its {number} links have {ends} linked to every node "
        f"that could replace the other one, so there is no negative for them; give --{part} a "
        "larger share"
        + ("" if undirected else ", or --undirected, so that the other end can be the source")
    )
