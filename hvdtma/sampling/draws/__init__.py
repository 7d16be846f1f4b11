"""Compiled sampling of neighbours: uniform, by weight, or LABOR; one module for each.

Random numbers come from a counter-based hash: they are a function of a key, a node and a counter.
So a sample does not depend on the order of the rows, or on the number of threads that draw it.

Legend: S rows, E sampled edges, k fanout, n nodes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from hvdtma.core.compute_threads import compute_threads
from hvdtma.graph.csc import CSC
from hvdtma.graph.hashing import mix
from hvdtma.sampling.draws.by_weight import sample_by_weight
from hvdtma.sampling.draws.coordinated import sample_coordinated
from hvdtma.sampling.draws.exclusion import NOTHING, Exclusion
from hvdtma.sampling.draws.labor import sample_labor
from hvdtma.sampling.draws.numbering import renumber
from hvdtma.sampling.draws.uniform import sample_uniform
from hvdtma.sampling.draws.within import find_within

__all__ = [
    "NOTHING",
    "Exclusion",
    "SampledEdges",
    "edges_within",
    "layer_key",
    "renumber",
    "sample_edges",
]

ROWS_PER_PIECE = 8192  # of a thread


class SampledEdges(NamedTuple):
    """The sampled in-edges of S rows.

    Attributes:
        indptr: int64 [S + 1].
        source: int64 [E].
        weight: float32 [E], or None if every edge counts 1.
    """

    indptr: np.ndarray
    source: np.ndarray
    weight: np.ndarray | None


def sample_edges(
    csc: CSC,
    rows_S: np.ndarray,
    fanout: int,
    key: int,
    *,
    excluded: Exclusion = NOTHING,
    labor: bool = False,
    first_node: int = 0,
    threads: int | None = None,
) -> SampledEdges:
    """Sample in-edges of rows; the result is a pure function of the key and the nodes.

    Args:
        csc: in-edges; with weights, the sample is in proportion to them.
        rows_S: int64 rows of `csc`.
        fanout: k; all edges if it is negative.
        key: a random integer below 2^64; see `layer_key`.
        excluded: edges that are left out, by rows and sources of `csc`.
        labor: whether rows choose the same sources where they can.
        first_node: the node number of row 0, for the random numbers.
        threads: None: those of `compute_threads`.
    """
    kernel: Any = sample_labor if labor else sample_uniform
    options: list[Any] = [] if labor else [first_node]
    if csc.weight is not None:
        kernel = sample_coordinated if labor else sample_by_weight
        options = [csc.weight, *options]

    def sample(piece: slice) -> tuple[np.ndarray, ...]:
        rows = rows_S[piece]
        return kernel(csc.indptr, csc.indices, rows, fanout, np.uint64(key), *excluded, *options)

    pieces = [
        slice(start, start + ROWS_PER_PIECE) for start in range(0, len(rows_S), ROWS_PER_PIECE)
    ] or [slice(0, 0)]
    workers = min(threads or compute_threads(), len(pieces))
    if workers == 1:
        sampled = [sample(piece) for piece in pieces]
    else:
        with ThreadPoolExecutor(workers) as pool:
            sampled = list(pool.map(sample, pieces))
    count, source, *weight = (
        parts[0] if len(parts) == 1 else np.concatenate(parts)
        for parts in zip(*sampled, strict=True)
    )
    indptr = np.concatenate([[0], np.cumsum(count)])
    return SampledEdges(indptr, source, weight[0] if weight else None)


def edges_within(
    csc: CSC, rows_S: np.ndarray, is_member: np.ndarray, excluded: Exclusion = NOTHING
) -> SampledEdges:
    """All in-edges of rows (int64) from members (bool [n]), without the excluded ones."""
    weights = np.zeros(0, np.float32) if csc.weight is None else csc.weight
    count, source, weight = find_within(
        csc.indptr, csc.indices, rows_S, *excluded, weights, is_member
    )
    indptr = np.concatenate([[0], np.cumsum(count)])
    return SampledEdges(indptr, source, None if csc.weight is None else weight)


def layer_key(seed: int, layer: int) -> int:
    """The key of a layer's sample."""
    return int(mix(mix(np.uint64(seed)) ^ np.uint64(layer)))
