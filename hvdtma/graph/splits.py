"""Hold out links and nodes for scoring, and draw negatives for the links.

Links are held out as unordered pairs, before an undirected graph is mirrored: the training graph
has neither direction of a held-out pair, nor a parallel edge of another type. So no message uses
them. A batch's own training links are removed from its messages in `hvdtma.sampling.neighbourhood`.

Legend: N nodes, E edges, n held-out pairs, K negatives per pair.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.csc import CSC
from hvdtma.graph.hashing import pair_hashes
from hvdtma.graph.source import Pairs

DRAWN_AT_ONCE = 1 << 23  # negatives; must not change, for the random numbers depend on it
CHECKED_AT_ONCE = 1 << 18  # negatives that are compared with the known edges
DRAW_BYTES = 24  # per negative: as drawn, as stored, as written
KNOWN_BYTES = 80  # per known edge, which no negative may be, while they are sorted; measured


def pair_key(src: np.ndarray, dst: np.ndarray, num_nodes: int) -> np.ndarray:
    """One int64 per unordered pair, the same for both directions."""
    return np.minimum(src, dst).astype(np.int64) * num_nodes + np.maximum(src, dst)


def part_sizes(total: int, valid: float, test: float, unit: str) -> tuple[int, int]:
    """The sizes of valid and test; values below 1 are shares of `total`, others are counts.

    Raises UserError if a part is empty, and if nothing is left for training.
    """
    sizes = [round(size * total) if size < 1 else int(size) for size in (valid, test)]
    for name, size, given in zip(HELD_OUT_PARTS, sizes, (valid, test), strict=True):
        if size < 1:
            raise UserError(
                f"the {name} split would be empty: {given} of {total} {unit}; "
                f"give --{name} a larger share, or a count of 1 or more"
            )
    if sum(sizes) >= total:
        raise UserError(
            f"valid and test would take {sum(sizes)} of {total} {unit} and leave none to train on"
        )
    return sizes[0], sizes[1]


@dataclass
class LinkPicker:
    """Chooses the pairs to hold out in one pass over the edges, whatever their order and repeats.

    Every unordered pair has a hash. A share selects the pairs with hashes in a range of that size;
    a count selects the smallest hashes outside of these ranges. So the choice is uniform, depends
    on the pair and the seed alone, and only the chosen pairs are kept in memory.

    Attributes:
        valid, test: a share if below 1, else a count.
        seed: of the hash.
        max_pairs: the number of pairs that fit in memory.
    """

    valid: float
    test: float
    seed: int
    max_pairs: int

    def __post_init__(self) -> None:
        sizes = (self.valid, self.test)
        self.ranges = np.cumsum([0.0, *(size if size < 1 else 0 for size in sizes)])
        self.share_end = _as_hash(self.ranges[-1])
        self.num_counted = sum(int(size) for size in sizes if size >= 1)
        self.limit = _as_hash(1.0)  # pairs with larger hashes are not chosen
        self.shrink_at = max(4 * self.num_counted, 1 << 20)
        self.chosen: list[tuple[np.ndarray, ...]] = []
        self.num_chosen = 0
        self.lock = threading.Lock()

    def add(self, src_E: np.ndarray, dst_E: np.ndarray) -> None:
        """Choose among a batch of edges; thread-safe."""
        hash_E = pair_hashes(src_E, dst_E, self.seed)
        end = self.limit if self.num_counted else self.share_end
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
        """The chosen pairs in the order of their hashes, and the part of each: 0 valid, 1 test.

        The source of a pair is one of its ends at random. Raises UserError if a part is empty, and
        if there are fewer pairs than the counts require.
        """
        self._shrink()
        hash_H, low, high = self.chosen[0]
        by_share = hash_H < self.share_end
        counted = int((~by_share).sum())
        if counted < self.num_counted:
            raise UserError(
                f"valid and test would take {self.num_counted} of {len(hash_H)} links and leave "
                "none to train on"
            )
        part_H = np.where(hash_H < _as_hash(self.ranges[1]), 0, 1)
        sizes = [int(size) if size >= 1 else 0 for size in (self.valid, self.test)]
        part_H[~by_share] = np.repeat([0, 1], sizes)
        for part, name in enumerate(HELD_OUT_PARTS):
            if not (part_H == part).any():
                raise UserError(
                    f"the {name} split would be empty: {vars(self)[name]} of the links; "
                    f"give --{name} a larger share, or a count of 1 or more"
                )
        turned = hash_H & np.uint64(1) == 1
        return Pairs(np.where(turned, high, low), np.where(turned, low, high)), part_H

    def _shrink(self) -> None:
        """Drop repeats, and hashes that are not among the smallest."""
        none = (np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        hash_H, low, high = (
            np.concatenate(parts) for parts in zip(none, *self.chosen, strict=True)
        )
        hash_H, first = np.unique(hash_H, return_index=True)
        shares = int(np.searchsorted(hash_H, self.share_end))
        keep = min(len(hash_H), shares + self.num_counted)
        if self.num_counted and keep == shares + self.num_counted:
            self.limit = hash_H[keep - 1] + np.uint64(1)
        if keep > self.max_pairs:
            raise UserError(
                f"more than {self.max_pairs:,} links would be held out and do not fit in memory; "
                "give --valid and --test as counts, such as 10000, or a larger --memory-gb"
            )
        self.chosen = [(hash_H[:keep], low[first[:keep]], high[first[:keep]])]
        self.num_chosen = keep


def _as_hash(share: float) -> np.uint64:
    """The upper end of a range with this share of all hashes."""
    return np.uint64(min(int(share * 2.0**64), 2**64 - 1))


def hold_out_nodes(
    labelled_N: np.ndarray, valid: float, test: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Labelled nodes (bool [N]) by part, each ascending."""
    labelled = rng.permutation(np.flatnonzero(labelled_N))
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
    """Draw destinations [n, K] in pieces of rows, uniform over all nodes that src has no link to.

    Args:
        src_n: the sources, which are no negatives of their own either.
        known: all edges of these sources, of every part of the split; for an undirected graph in
            the direction from these sources.

    Negatives are drawn with replacement. A known edge is rejected and drawn again, which keeps the
    distribution uniform. Raises UserError for a source that is linked to every node.
    """
    sources, row_n = np.unique(src_n, return_inverse=True)
    of_these = np.isin(known.src, sources)
    rows, targets = np.searchsorted(sources, known.src[of_these]), known.dst[of_these]
    order = np.lexsort((targets, rows))
    starts = np.searchsorted(rows[order], np.arange(len(sources) + 1))
    targets_of = CSC(starts, targets[order])  # row: the destinations of one source
    full = np.flatnonzero(_distinct(targets_of)[row_n] >= num_nodes - 1)
    if len(full):
        raise UserError(
            f"{len(full)} held-out pairs have a source that is linked to every node: "
            "there is no negative for these pairs"
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

    def rejected(places: np.ndarray) -> np.ndarray:
        row = places // num_negatives
        is_link = targets_of.has_edges(drawn[places], row_n[row])
        return places[is_link | (drawn[places] == src_n[row])]

    pieces = range(0, len(drawn), CHECKED_AT_ONCE)
    again = np.concatenate(
        [rejected(np.arange(start, min(start + CHECKED_AT_ONCE, len(drawn)))) for start in pieces]
    )
    while len(again):
        drawn[again] = rng.integers(0, num_nodes, size=len(again))
        again = rejected(again)
    return neg_nK


def drawing_bytes(num_links: int, num_negatives: int, num_known: int) -> int:
    """The memory of `draw_negatives`, with its arguments and one piece of the result."""
    return KNOWN_BYTES * num_known + DRAW_BYTES * min(num_links * num_negatives, DRAWN_AT_ONCE)


def _distinct(csc: CSC) -> np.ndarray:
    """The number of distinct neighbours of each row."""
    first = np.ones(csc.num_edges, bool)
    first[1:] = np.diff(csc.indices) != 0
    first[csc.indptr[:-1][np.diff(csc.indptr) > 0]] = True
    return np.bincount(csc.destinations()[first], minlength=csc.num_nodes)
