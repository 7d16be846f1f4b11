"""Draw the negatives that held-out links are ranked against.

Legend: N nodes, n held-out links, K negatives per link.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.graph.candidates import ALL_NODES, Candidates
from hvdtma.graph.csc import CSC
from hvdtma.graph.source import Pairs

DRAWN_AT_ONCE = 1 << 23  # negatives; must not change, for the random numbers depend on it
CHECKED_AT_ONCE = 1 << 18  # negatives that are compared with the known edges
TRIES = 100  # then the nodes that are left for a source are listed
DRAW_BYTES = 24  # per negative: as drawn, as stored, as written
KNOWN_BYTES = 80  # per known edge, which no negative may be, while they are sorted; measured


def draw_negatives(
    src_n: np.ndarray,
    set_n: np.ndarray,
    known: Pairs,
    candidates: Candidates,
    num_negatives: int,
    *,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Draw destinations [n, K] in pieces of rows, uniform over the candidates without a link.

    Args:
        src_n: the sources, which are no negatives of their own either.
        set_n: the number of each link's set of candidates.
        known: all edges of these sources, of every part of the split; for an undirected graph in
            the direction from these sources.

    Negatives are drawn with replacement. A known edge is rejected and drawn again, which keeps the
    distribution uniform. Raises UserError for a source that is linked to every candidate.
    """
    sources, row_n = np.unique(src_n, return_inverse=True)
    of_these = np.isin(known.src, sources)
    rows, targets = np.searchsorted(sources, known.src[of_these]), known.dst[of_these]
    order = np.lexsort((targets, rows))
    starts = np.searchsorted(rows[order], np.arange(len(sources) + 1))
    targets_of = CSC(starts, targets[order])  # row: the destinations of one source
    step = max(1, DRAWN_AT_ONCE // num_negatives)
    for start in range(0, len(src_n), step):
        piece = slice(start, start + step)
        yield _Piece(src_n[piece], row_n[piece], set_n[piece], targets_of, candidates).draw(
            num_negatives, rng
        )


class _Piece:
    """Some links whose negatives are drawn together; row r of `targets_of` is of source r."""

    def __init__(
        self,
        src_n: np.ndarray,
        row_n: np.ndarray,
        set_n: np.ndarray,
        targets_of: CSC,
        candidates: Candidates,
    ):
        self.src_n, self.row_n, self.set_n = src_n, row_n, set_n
        self.targets_of, self.candidates = targets_of, candidates

    def draw(self, num_negatives: int, rng: np.random.Generator) -> np.ndarray:
        """Negatives int64 [n, K]."""
        neg_nK = self._first_draw(num_negatives, rng)
        drawn = neg_nK.reshape(-1)
        pieces = range(0, len(drawn), CHECKED_AT_ONCE)
        again = np.concatenate(
            [
                self._rejected(
                    drawn, np.arange(start, min(start + CHECKED_AT_ONCE, len(drawn))), num_negatives
                )
                for start in pieces
            ]
        )
        for _ in range(TRIES):
            if not len(again):
                return neg_nK
            set_Q = self.set_n[again // num_negatives]
            drawn[again] = self.candidates.draw(set_Q, rng, self.candidates.num_nodes)
            again = self._rejected(drawn, again, num_negatives)
        self._draw_listed(drawn, again, num_negatives, rng)
        return neg_nK

    def _first_draw(self, num_negatives: int, rng: np.random.Generator) -> np.ndarray:
        numbers = np.unique(self.set_n).tolist()
        if len(numbers) == 1:
            return self.candidates.draw_from(numbers[0], (len(self.src_n), num_negatives), rng)
        neg_nK = np.empty((len(self.src_n), num_negatives), np.int64)
        for number in numbers:
            at = np.flatnonzero(self.set_n == number)
            neg_nK[at] = self.candidates.draw_from(number, (len(at), num_negatives), rng)
        return neg_nK

    def _rejected(self, drawn: np.ndarray, places: np.ndarray, num_negatives: int) -> np.ndarray:
        """The places whose node is linked to the source, or is the source."""
        row = places // num_negatives
        is_link = self.targets_of.has_edges(drawn[places], self.row_n[row])
        return places[is_link | (drawn[places] == self.src_n[row])]

    def _draw_listed(
        self, drawn: np.ndarray, places: np.ndarray, num_negatives: int, rng: np.random.Generator
    ) -> None:
        """Draw for sources that are linked to nearly all candidates, from a list of the others."""
        row = places // num_negatives
        for link in np.unique(row).tolist():
            number, source = int(self.set_n[link]), self.row_n[link]
            nodes = (
                np.arange(self.candidates.num_nodes)
                if number == ALL_NODES
                else self.candidates.nodes(number)
            )
            first, last = self.targets_of.indptr[source : source + 2]
            linked = np.append(self.targets_of.indices[first:last], self.src_n[link])
            left = np.setdiff1d(nodes, linked)
            if not len(left):
                raise UserError(
                    f"a held-out link has a source that is linked to every one of its {len(nodes)} "
                    "candidates: there is no negative for the link"
                )
            at = places[row == link]
            drawn[at] = left[rng.integers(0, len(left), len(at))]


def drawing_bytes(num_links: int, num_negatives: int, num_known: int) -> int:
    """The memory of `draw_negatives`, with its arguments and one piece of the result."""
    return KNOWN_BYTES * num_known + DRAW_BYTES * min(num_links * num_negatives, DRAWN_AT_ONCE)
