"""The best partners of nodes among all candidates: exact top-k, in blocks that fit in memory.

If a decoder's score is an inner product of a vector of each end (`is_factored`), a block of
candidates is scored by one matrix product, in double precision: scores that are equal stay equal,
whatever the blocks. Other decoders score pair by pair.

Legend: Q nodes that are asked for, q of them at a time, C candidates of a block, k partners, H
width of embeddings, F width of the decoder's vectors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hvdtma.core.errors import UserError
from hvdtma.evaluation.best_of import best_columns, merged
from hvdtma.evaluation.known_links import KnownLinks, known_links
from hvdtma.evaluation.predictor import Predictor
from hvdtma.graph.candidates import ALL_NODES
from hvdtma.graph.source import Pairs
from hvdtma.models.decoders import is_factored
from hvdtma.tasks import scores_pairs

NODES_AT_ONCE = 1024  # q
CANDIDATES_AT_ONCE = 1 << 15  # C
BLOCK_BYTES = 256 << 20  # of a block, if the memory is not limited
LEAST_CANDIDATES = 256  # of a block, before q becomes smaller
ROW_BYTES = 40  # per value of a candidate: its embedding and its vector, copies in both precisions
SCORE_BYTES = 24  # per score of a block: in both precisions, and what selects the best

PAIR_BYTES = 40  # per pair that is scored alone: both ends, their embeddings' places, its score

Scores = Callable[[np.ndarray], torch.Tensor]  # of candidates [C]: float32 [q, C]


@dataclass(frozen=True)
class Partners:
    """The best partners of some nodes, the best first.

    Attributes:
        number: int64 [q]; a node that has fewer than k candidates left has fewer partners.
        node: int64 [q, k] node numbers.
        score: float32 [q, k].
    """

    number: np.ndarray
    node: np.ndarray
    score: np.ndarray

    def of(self, row: int) -> np.ndarray:
        """The partners of a node."""
        return self.node[row, : self.number[row]]


def recommend(
    predictor: Predictor,
    node_Q: np.ndarray,
    k: int,
    *,
    type_number: int | None = None,
    exclude_known: bool = True,
) -> Iterator[tuple[np.ndarray, Partners]]:
    """The k best destinations of links from each node; of equal scores, the lower node number.

    Candidates are the nodes that negatives of the edge type are drawn from. A node is no partner of
    itself. Yields some rows of `node_Q` at a time, in any order, with their partners.

    Args:
        node_Q: int64, distinct.
        exclude_known: whether training links (of the type) are left out.

    Raises UserError if the task scores no pairs, and for a k beyond the number of candidates.
    """
    for candidate_N, row_Q in candidate_groups(predictor, node_Q, k, type_number):
        size_q, size_C = _block_sizes(predictor, len(row_Q))
        for start in range(0, len(row_Q), size_q):
            rows = row_Q[start : start + size_q]
            known = None
            if exclude_known:
                known = known_links(predictor.store, node_Q[rows], type_number)
            scores = _scores_of(predictor, node_Q[rows], type_number)
            yield rows, _best(scores, node_Q[rows], candidate_N, size_C, known, k)


def candidate_groups(
    predictor: Predictor, node_Q: np.ndarray, k: int, type_number: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The candidates, ascending, and the rows of the nodes whose partners they may be.

    In an undirected graph of two sides, a node of one side has its partners on the other.

    Raises UserError if the task scores no pairs, and for a k beyond the number of candidates.
    """
    scores_pairs(predictor.task, predictor.config.task.name)
    _, destinations = predictor.end_types(type_number)
    if destinations is not None:  # of a typed graph: all nodes of the type
        candidate_N = predictor.nodes_of(destinations)
        _check_k(k, candidate_N, node_Q, predictor)
        yield candidate_N, np.arange(len(node_Q))
        return
    candidates = predictor.store.candidates()
    rules = candidates.rules
    if not rules.sizes:
        _check_k(k, np.arange(candidates.num_nodes), node_Q, predictor)
        yield np.arange(candidates.num_nodes), np.arange(len(node_Q))
        return
    src, dst = rules.src[type_number or 0], rules.dst[type_number or 0]
    set_Q = np.full(len(node_Q), dst)
    if predictor.store.undirected and src != dst:
        set_Q[candidates.contain(dst, node_Q)] = src
    for number in np.unique(set_Q).tolist():
        all_nodes = number == ALL_NODES
        candidate_N = np.arange(candidates.num_nodes) if all_nodes else candidates.nodes(number)
        row_Q = np.flatnonzero(set_Q == number)
        _check_k(k, candidate_N, node_Q[row_Q], predictor)
        yield candidate_N, row_Q


def _check_k(k: int, candidate_N: np.ndarray, node_q: np.ndarray, predictor: Predictor) -> None:
    own = np.isin(node_q, candidate_N)
    most = len(candidate_N) - bool(own.any())
    if k > most:
        node = predictor.ids[node_q[np.argmax(own)]]
        raise UserError(
            f"k is {k}, but '{node}' has {most:,} candidates in {predictor.store.path}; "
            f"give k={most} or less"
        )


def _block_sizes(predictor: Predictor, num_nodes: int) -> tuple[int, int]:
    """Q and C, for which a block fits in memory."""
    width = 2 * predictor.model.encoder.out_dim + 2  # F is about H in all built-in decoders
    factored = is_factored(predictor.model.head)
    row_bytes = ROW_BYTES * width * factored
    score_bytes = SCORE_BYTES + PAIR_BYTES * (not factored)
    available = min(predictor.embeddings.work_bytes // 2, BLOCK_BYTES)
    size_q = min(NODES_AT_ONCE, num_nodes)
    while True:
        size_C = available // (row_bytes + score_bytes * size_q)
        if size_C >= LEAST_CANDIDATES or size_q == 1:
            return size_q, int(min(max(size_C, 1), CANDIDATES_AT_ONCE))
        size_q = -(-size_q // 2)


@torch.no_grad()
def _scores_of(predictor: Predictor, node_q: np.ndarray, type_number: int | None) -> Scores:
    """A function that scores the links from some nodes to a block of candidates."""
    if not is_factored(predictor.model.head):
        return _pairwise(predictor, node_q, type_number)
    vectors = Vectors(predictor, type_number)
    source_qF = vectors.of_sources(node_q)
    return lambda node_C: (source_qF @ vectors.of_destinations(node_C).T).float()


class Vectors:
    """The vectors float64 of a decoder whose score is their inner product.

    An edge type that is scored as the reverse of a learned one has both ends exchanged.
    """

    def __init__(self, predictor: Predictor, type_number: int | None):
        self.predictor, self.type_number = predictor, type_number
        self._head: Any = copy.deepcopy(predictor.model.head).double()
        self._scored_as, self._turned = type_number, False
        if predictor.scored_types is not None and type_number is not None:
            self._scored_as, self._turned = predictor.scored_types.scored_as(type_number)

    def of_sources(self, node_q: np.ndarray) -> torch.Tensor:
        """[q, F] of nodes as sources."""
        return self._vectors(node_q, as_source=not self._turned)

    def of_destinations(self, node_C: np.ndarray) -> torch.Tensor:
        """[C, F] of nodes as destinations."""
        return self._vectors(node_C, as_source=self._turned)

    @torch.no_grad()
    def _vectors(self, nodes: np.ndarray, *, as_source: bool) -> torch.Tensor:
        """The decoder's vectors of one end."""
        h = self._embedded(nodes)
        if not as_source:
            return self._head.destination(h)
        number = self._scored_as
        return self._head.source(h, None if number is None else torch.full((len(nodes),), number))

    def _embedded(self, nodes: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.predictor.embeddings(nodes)).double()


def _pairwise(predictor: Predictor, node_q: np.ndarray, type_number: int | None) -> Scores:
    def scores(node_C: np.ndarray) -> torch.Tensor:
        src, dst = np.repeat(node_q, len(node_C)), np.tile(node_C, len(node_q))
        types = None if type_number is None else np.full(len(src), type_number, np.int16)
        score = predictor.score(Pairs(src, dst, edge_type=types))
        return torch.from_numpy(score).view(len(node_q), len(node_C))

    return scores


@torch.no_grad()
def _best(
    scores: Scores,
    node_q: np.ndarray,
    candidate_N: np.ndarray,
    size_C: int,
    known: KnownLinks | None,
    k: int,
) -> Partners:
    """The k best of all candidates, which are ascending, for each node."""
    asked = KnownLinks(np.argsort(node_q), np.sort(node_q))  # the links of nodes to themselves
    best = torch.zeros(len(node_q), 0), torch.zeros(len(node_q), 0, dtype=torch.int64)
    for start in range(0, len(candidate_N), size_C):
        node_C = candidate_N[start : start + size_C].astype(np.int64)
        score_qC = scores(node_C)
        score_qC = torch.where(score_qC.isnan(), -torch.inf, score_qC)
        for left_out in (asked, known):
            if left_out is not None:
                row, column = left_out.within(node_C)
                score_qC[torch.from_numpy(row), torch.from_numpy(column)] = -torch.inf
        column_qk = best_columns(score_qC, k)
        found = score_qC.gather(1, column_qk), torch.from_numpy(node_C)[column_qk]
        best = merged(best, found, k)
    score_qk, node_qk = (each.numpy() for each in best)
    return Partners((score_qk > -np.inf).sum(1), node_qk, score_qk)
