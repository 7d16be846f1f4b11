"""Hold out links and nodes for scoring; `hvdtma.graph.negatives` draws negatives for the links.

Links are held out as unordered pairs, before an undirected graph is mirrored: the training graph
has neither direction of a held-out pair, nor a parallel edge of another type. So no message uses
them. A batch's own training links are removed from its messages in `hvdtma.sampling.neighbourhood`.

Legend: N nodes, E edges.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.hashing import pair_hashes
from hvdtma.graph.source import Pairs


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
