"""Holding out links and nodes for scoring, and the negatives they are ranked against.

Legend: N nodes, E edges, n held-out pairs, K negatives per pair.

Links are held out as unordered pairs, before an undirected graph is mirrored: neither direction
of a held-out pair, nor a parallel edge of another type, is left in the training graph.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.csc import CSC
from hvdtma.graph.raw import Pairs
from hvdtma.graph.sort.keys import pair_hashes

DRAWN_AT_ONCE = 1 << 23  # negatives; fixed, for the draws depend on it
LOOKED_AT_ONCE = 1 << 18  # of them, whether they are links
DRAW_BYTES = 24  # of a negative: as it is drawn, as it is kept, and as it is written
KNOWN_BYTES = 80  # of an edge that no negative may be, until they are in order; measured


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


@dataclass
class LinkPicker:
    """Chooses the pairs to hold out while the edges go by, whatever their order and repeats.

    Every unordered pair has a hash. A share takes the pairs whose hash is in a range of that
    share; a count takes so many with the smallest hashes outside such ranges. So the choice is
    uniform, depends on the pair and the seed alone, and memory is needed for the chosen ones only.

    Attributes:
        valid, test: below 1 a share, from 1 on a count.
        seed: of the hash.
        most: pairs that may be held in memory.
    """

    valid: float
    test: float
    seed: int
    most: int

    def __post_init__(self) -> None:
        sizes = (self.valid, self.test)
        self.ranges = np.cumsum([0.0, *(size if size < 1 else 0 for size in sizes)])
        self.share_end = _as_hash(self.ranges[-1])
        self.wanted = sum(int(size) for size in sizes if size >= 1)
        self.limit = _as_hash(1.0)  # hashes from here on are not wanted
        self.shrink_at = max(4 * self.wanted, 1 << 20)
        self.chosen: list[tuple[np.ndarray, ...]] = []
        self.num_chosen = 0
        self.lock = threading.Lock()

    def look(self, src_E: np.ndarray, dst_E: np.ndarray) -> None:
        """Note what is to be held out among these edges; from any thread."""
        hash_E = pair_hashes(src_E, dst_E, self.seed)
        end = self.limit if self.wanted else self.share_end
        taken = np.flatnonzero((hash_E < end) & (src_E != dst_E))
        if not len(taken):
            return
        src, dst = src_E[taken], dst_E[taken]
        with self.lock:
            self.chosen.append((hash_E[taken], np.minimum(src, dst), np.maximum(src, dst)))
            self.num_chosen += len(taken)
            if self.num_chosen > self.shrink_at:
                self._shrink()
                self.shrink_at = max(self.shrink_at, 2 * self.num_chosen)

    def pairs(self) -> tuple[Pairs, np.ndarray]:
        """The chosen pairs in the order of their hashes, and the part of each (0 valid, 1 test).

        Which end of a pair is its source is a coin's choice. Raises UserError if a part is empty,
        or there are fewer pairs than are to be counted off.
        """
        self._shrink()
        hash_H, low, high = self.chosen[0]
        by_share = hash_H < self.share_end
        counted = int((~by_share).sum())
        if counted < self.wanted:
            raise UserError(
                f"valid and test would take {self.wanted} of {len(hash_H)} links and leave none "
                "to train on"
            )
        part_H = np.where(hash_H < _as_hash(self.ranges[1]), 0, 1)
        sizes = [int(size) if size >= 1 else 0 for size in (self.valid, self.test)]
        part_H[~by_share] = np.repeat([0, 1], sizes)
        for part, name in enumerate(("valid", "test")):
            if not (part_H == part).any():
                raise UserError(
                    f"the {name} split would be empty: {vars(self)[name]} of the links; "
                    f"give --{name} a larger share (or a count, from 1 on)"
                )
        turned = hash_H & np.uint64(1) == 1
        return Pairs(np.where(turned, high, low), np.where(turned, low, high)), part_H

    def _shrink(self) -> None:
        """Forget repeats, and hashes that are not among the smallest."""
        none = (np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        hash_H, low, high = (
            np.concatenate(parts) for parts in zip(none, *self.chosen, strict=True)
        )
        hash_H, first = np.unique(hash_H, return_index=True)
        shares = int(np.searchsorted(hash_H, self.share_end))
        keep = min(len(hash_H), shares + self.wanted)
        if self.wanted and keep == shares + self.wanted:
            self.limit = hash_H[keep - 1] + np.uint64(1)
        if keep > self.most:
            raise UserError(
                f"more than {self.most:,} links would be held out; give --valid and --test as "
                "counts (10000, say), or more memory"
            )
        self.chosen = [(hash_H[:keep], low[first[:keep]], high[first[:keep]])]
        self.num_chosen = keep


def _as_hash(share: float) -> np.uint64:
    """Where a share of all hashes ends."""
    return np.uint64(min(int(share * 2.0**64), 2**64 - 1))


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
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Destinations [n, K] in pieces of rows: uniform over all nodes but src and what src links to.

    Args:
        known: every edge of these sources, of all parts of the split; of an undirected graph in
            the direction away from them.

    Drawn with replacement; a draw that hits a known edge is drawn again, which keeps the rest
    uniform. Raises UserError if a source is linked to every node.
    """
    sources, row_n = np.unique(src_n, return_inverse=True)
    of_these = np.isin(known.src, sources)
    rows, targets = np.searchsorted(sources, known.src[of_these]), known.dst[of_these]
    order = np.lexsort((targets, rows))
    starts = np.searchsorted(rows[order], np.arange(len(sources) + 1))
    targets_of = CSC(starts, targets[order])  # row: what a source is linked to
    full = np.flatnonzero(_distinct(targets_of)[row_n] >= num_nodes - 1)
    if len(full):
        raise UserError(
            f"{len(full)} held-out pairs have a source that is linked to every node: "
            "there is no negative for them"
        )
    step = max(1, DRAWN_AT_ONCE // num_negatives)
    for start in range(0, len(src_n), step):
        yield _draw(src_n[start : start + step], row_n[start : start + step], targets_of,
                    num_nodes, num_negatives, rng)  # fmt: skip


def _draw(
    src_n: np.ndarray,
    row_n: np.ndarray,
    targets_of: CSC,
    num_nodes: int,
    num_negatives: int,
    rng: np.random.Generator,
) -> np.ndarray:
    neg_nK = rng.integers(0, num_nodes, size=(len(src_n), num_negatives), dtype=np.int64)
    drawn = neg_nK.reshape(-1)

    def wrong_of(places: np.ndarray) -> np.ndarray:
        row = places // num_negatives
        is_link = targets_of.has_edges(drawn[places], row_n[row])
        return places[is_link | (drawn[places] == src_n[row])]

    pieces = range(0, len(drawn), LOOKED_AT_ONCE)
    wrong = np.concatenate(
        [wrong_of(np.arange(start, min(start + LOOKED_AT_ONCE, len(drawn)))) for start in pieces]
    )
    while len(wrong):
        drawn[wrong] = rng.integers(0, num_nodes, size=len(wrong))
        wrong = wrong_of(wrong)
    return neg_nK


def drawing_bytes(num_links: int, num_negatives: int, num_known: int) -> int:
    """Bytes that `draw_negatives` takes, with what is handed to it and what is made of it."""
    return KNOWN_BYTES * num_known + DRAW_BYTES * min(num_links * num_negatives, DRAWN_AT_ONCE)


def _distinct(csc: CSC) -> np.ndarray:
    """How many distinct neighbours each row has."""
    first = np.ones(csc.num_edges, bool)
    first[1:] = np.diff(csc.indices) != 0
    first[csc.indptr[:-1][np.diff(csc.indptr) > 0]] = True
    return np.bincount(csc.destinations()[first], minlength=csc.num_nodes)
