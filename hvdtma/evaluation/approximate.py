"""Approximate search for the best partners, in an index of FAISS (HNSW).

It serves decoders whose score is an inner product of a vector of each end. Malkov and Yashunin,
"Efficient and robust approximate nearest neighbor search using HNSW graphs" (arXiv 1603.09320). The
largest inner products become the nearest neighbours: a further value gives all candidates' vectors
the same length (Bachrach et al., RecSys 2014).

The index knows no links: as many candidates more are searched for as a node has known links. Nodes
of like degree are searched together, so that one hub does not cost as much for all.

Legend: N candidates, Q nodes that are asked for, q of them at a time, F width of the decoder's
vectors, k partners, S found.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from hvdtma.core.console import console, stage
from hvdtma.core.errors import UserError
from hvdtma.evaluation.known_links import KnownLinks, known_links
from hvdtma.evaluation.predictor import Predictor
from hvdtma.evaluation.recommend import (
    NODES_AT_ONCE,
    Partners,
    Vectors,
    candidate_groups,
    recommend,
)
from hvdtma.models.decoders import is_factored

LINKS_PER_NODE = 32  # of the index
LEAST_SEARCHED = 256  # candidates that a search keeps at least
BUILD_SEARCHED = 200  # the same while the index is built
CANDIDATES_AT_ONCE = 1 << 14
KNOWN_AT_ONCE = 1 << 14  # nodes whose known links are read in one pass over the edges
FOUND_AT_ONCE = 1 << 22  # candidates that are found for some nodes: 12 bytes each
INDEX_BYTES = 2 * LINKS_PER_NODE * 4  # per candidate, besides its vector
SAMPLED = 100  # nodes whose partners are compared with the exact ones


def recommend_approximately(
    predictor: Predictor,
    node_Q: np.ndarray,
    k: int,
    *,
    type_number: int | None = None,
    exclude_known: bool = True,
) -> Iterator[tuple[np.ndarray, Partners]]:
    """As `hvdtma.evaluation.recommend.recommend`, but some of the best partners may be missed.

    Prints the recall: the share of the exact partners that are found, of a sample of the nodes.

    Raises UserError as well if FAISS is not installed, for a decoder whose score does not factor,
    and if the index does not fit in memory.
    """
    faiss = _faiss()
    if not is_factored(predictor.model.head):
        raise UserError(
            f"the decoder '{predictor.config.task.decoder}' scores pair by pair, so there is no "
            "index for it; leave out --approximate"
        )
    asked: dict[str, Any] = {"type_number": type_number, "exclude_known": exclude_known}
    sample = np.random.default_rng(0).permutation(len(node_Q))[:SAMPLED]
    exact: dict[int, np.ndarray] = {}
    for rows, found in recommend(predictor, node_Q[sample], k, **asked):
        exact |= {int(sample[row]): found.of(at) for at, row in enumerate(rows)}
    hits = 0
    for candidate_N, row_Q in candidate_groups(predictor, node_Q, k, type_number):
        vectors = Vectors(predictor, type_number)
        index = _index(faiss, vectors, candidate_N, predictor)
        for start in range(0, len(row_Q), KNOWN_AT_ONCE):
            some_Q = row_Q[start : start + KNOWN_AT_ONCE]
            left_out = _left_out(predictor, node_Q[some_Q], type_number, exclude_known)
            for at_q, number in _alike([len(each) + k for each in left_out], len(candidate_N)):
                nodes, without = node_Q[some_Q[at_q]], [left_out[at] for at in at_q]
                found = _search(index, vectors, nodes, candidate_N, k, number, without)
                for at, row in enumerate(some_Q[at_q].tolist()):
                    if row in exact:
                        hits += len(np.intersect1d(found.of(at), exact[row]))
                yield some_Q[at_q], found
    total = sum(len(partners) for partners in exact.values())
    console.print(
        f"approximate: {hits / max(total, 1):.1%} of the {total:,} exact partners of "
        f"{len(exact):,} nodes were found",
        soft_wrap=True,
    )


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise UserError(
            f"--approximate needs FAISS, which cannot be imported ({error}); "
            "pip install faiss-cpu, or leave out --approximate"
        ) from error


def _index(faiss: Any, vectors: Vectors, candidate_N: np.ndarray, predictor: Predictor) -> Any:
    """An index of the candidates' vectors."""
    width = vectors.of_destinations(candidate_N[:1]).shape[1] + 1
    needed = len(candidate_N) * (4 * width + INDEX_BYTES)
    available = predictor.embeddings.work_bytes
    if needed > available:
        raise UserError(
            f"the index takes {needed / 2**30:.2f} GiB, more than memory_gb leaves for it "
            f"({available / 2**30:.2f}); give more, or leave out --approximate"
        )
    index = faiss.IndexHNSWFlat(width, LINKS_PER_NODE, faiss.METRIC_L2)
    index.hnsw.efConstruction = BUILD_SEARCHED
    faiss.omp_set_num_threads(torch.get_num_threads())
    pieces = [
        candidate_N[start : start + CANDIDATES_AT_ONCE]
        for start in range(0, len(candidate_N), CANDIDATES_AT_ONCE)
    ]
    with stage(f"indexing {len(candidate_N):,} candidates"):
        squares = [vectors.of_destinations(piece).square().sum(1).max() for piece in pieces]
        longest = torch.stack(squares).max()
        for piece in pieces:
            vector_CF = vectors.of_destinations(piece)
            rest_C = (longest - vector_CF.square().sum(1)).clamp(min=0).sqrt()
            index.add(torch.cat([vector_CF, rest_C[:, None]], 1).float().numpy())
    return index


def _left_out(
    predictor: Predictor, node_q: np.ndarray, type_number: int | None, exclude_known: bool
) -> list[np.ndarray]:
    """Of each node the candidates that are no partners: itself, and its known links."""
    if not exclude_known:
        return list(node_q[:, None])
    known: KnownLinks = known_links(predictor.store, node_q, type_number)
    order = np.argsort(known.row, kind="stable")
    ends = np.cumsum(np.bincount(known.row, minlength=len(node_q)))
    links = np.split(known.node[order], ends[:-1])
    return [np.append(node, of_node) for node, of_node in zip(node_q, links, strict=True)]


def _alike(numbers: list[int], most: int) -> Iterator[tuple[np.ndarray, int]]:
    """Positions of nodes that need about as many candidates, and the number for them."""
    order = np.argsort(numbers, kind="stable")[::-1]
    start = 0
    while start < len(order):
        number = min(numbers[order[start]], most)
        size = min(max(FOUND_AT_ONCE // number, 1), NODES_AT_ONCE)
        yield order[start : start + size], number
        start += size


def _search(
    index: Any,
    vectors: Vectors,
    node_q: np.ndarray,
    candidate_N: np.ndarray,
    k: int,
    number: int,
    left_out: list[np.ndarray],
) -> Partners:
    """The best partners among so many candidates that the index finds, with their exact scores."""
    source_qF = vectors.of_sources(node_q)
    index.hnsw.efSearch = max(LEAST_SEARCHED, 2 * number)
    asked_qF = torch.cat([normalize(source_qF), source_qF.new_zeros(len(node_q), 1)], 1)
    _, place_qS = index.search(asked_qF.float().numpy(), number)
    node = np.full((len(node_q), k), 0, np.int64)
    score, count = np.full((len(node_q), k), -np.inf, np.float32), np.zeros(len(node_q), np.int64)
    for row, place_S in enumerate(place_qS):
        node_S = np.sort(candidate_N[place_S[place_S >= 0]]).astype(np.int64)
        node_S = np.setdiff1d(node_S, left_out[row])
        score_S = (vectors.of_destinations(node_S) @ source_qF[row]).float().numpy()
        order = np.argsort(-score_S, kind="stable")[:k]
        count[row] = len(order)
        node[row, : len(order)], score[row, : len(order)] = node_S[order], score_S[order]
    return Partners(count, node, score)
