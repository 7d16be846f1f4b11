"""The rate of the compiled samplers of neighbours.

Legend: S seeds.
"""

from __future__ import annotations

import statistics
import time
from typing import NamedTuple

import numpy as np

from hvdtma.core.threads import num_workers
from hvdtma.graph.csc import CSC
from hvdtma.sampling.draws import layer_key, renumber, sample_edges
from hvdtma.sampling.shard import Shard

FANOUT, WARM_UP = 25, 5


class SamplingRate(NamedTuple):
    """Medians of a sampler.

    Attributes:
        edge_ns: nanoseconds per sampled edge.
        renumbered_edge_ns: the same, with the renumbering of the nodes.
        distinct: distinct nodes of the last sample, seeds included.
    """

    sampler: str
    threads: int
    edge_ns: float
    renumbered_edge_ns: float
    distinct: int


def sampling_rates(shard: Shard, seeds_S: np.ndarray, steps: int) -> list[SamplingRate]:
    """The rates of the samplers, with one and with all threads.

    In a graph without weights, sampling by weight gets log-normal ones.
    """
    csc = shard.csc
    weight = csc.weight
    if weight is None:
        weight = np.random.default_rng(0).lognormal(size=csc.num_edges).astype(np.float32)
    graphs = {
        "": CSC(csc.indptr, csc.indices),
        ", by weight": CSC(csc.indptr, csc.indices, weight=weight),
    }
    return [
        _rate(("labor" if labor else "neighbour") + suffix, graph, seeds_S, steps, labor, threads)
        for suffix, graph in graphs.items()
        for labor in (False, True)
        for threads in sorted({1, num_workers()})
    ]


def _rate(
    name: str, csc: CSC, seeds_S: np.ndarray, steps: int, labor: bool, threads: int
) -> SamplingRate:
    alone, both, distinct = [], [], 0
    for number in range(WARM_UP + steps):
        start = time.perf_counter()
        key = layer_key(number, 0)
        source = sample_edges(csc, seeds_S, FANOUT, key, labor=labor, threads=threads).source
        sampled = time.perf_counter()
        nodes, _ = renumber(seeds_S, source)
        ended = time.perf_counter()
        distinct, edges = len(nodes), max(len(source), 1)
        if number >= WARM_UP:
            alone.append(1e9 * (sampled - start) / edges)
            both.append(1e9 * (ended - start) / edges)
    return SamplingRate(name, threads, statistics.median(alone), statistics.median(both), distinct)
