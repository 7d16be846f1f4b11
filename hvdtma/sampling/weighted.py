"""Neighbour sampling in proportion to edge weights, without replacement.

Neighbours are drawn one after the other, each with a probability in proportion to its weight among
those that are left. This is done with one exponential random number of rate w for each edge, its
rank: the k edges with the smallest ranks are the sample (Efraimidis and Spirakis, IPL 2006).

A sample over-represents light edges as soon as it takes a good part of the neighbours: one of all
neighbours does not depend on weights at all. So each sampled edge gets the weight w / p, where
p = 1 - exp(-w t) is the probability of its rank to be below t, the smallest rank outside of the
sample. Sums with these weights are unbiased estimates of sums over all neighbours (Cohen and
Kaplan, PODC 2007), so the weighted mean over the sample is a consistent estimate of the weighted
mean over all neighbours. If few of many neighbours are sampled, w / p is nearly the same for all,
for the sample is in proportion already. If all are sampled, w / p is w.

The weights are scaled to the number of sampled neighbours times the mean weight of all, because a
node counts as a neighbour of weight 1 in some encoders: without weights, a sample of k neighbours
counts k there, whatever the degree.

Legend: S rows, k fanout.
"""

from __future__ import annotations

import numpy as np
import torch

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import CSC
from hvdtma.sampling.dgl_backend import Block, block_between
from hvdtma.sampling.neighbourhood import Targets


def sample_weighted_blocks(
    csc: CSC,
    seeds_S: torch.Tensor,
    fanouts: list[int],
    random_seed: int,
    targets: Targets | None = None,
) -> tuple[list[Block], torch.Tensor]:
    """Sample the neighbourhood of distinct seeds: blocks, input layer first, and input nodes [n].

    Args:
        csc: in-edges with weights.
        fanouts: neighbours per node for each layer, input layer first; -1 takes all.
        random_seed: determines the sample.
        targets: pairs whose edges are left out of the sample, in both directions.
    """
    assert csc.weight is not None  # see NeighbourSampler
    rng = np.random.default_rng(random_seed)
    nodes = seeds_S.long()
    blocks: list[Block] = []
    for fanout in reversed(fanouts):
        rows = nodes.numpy()
        draws = rng.random(int((csc.indptr[rows + 1] - csc.indptr[rows]).sum()))
        count, src, weight = sample_rows_by_weight(
            csc.indptr, csc.indices, csc.weight, rows, fanout, draws
        )
        edges = torch.from_numpy(src), torch.from_numpy(np.repeat(np.arange(len(rows)), count))
        weight_E = torch.from_numpy(weight)
        if targets is not None:
            kept = ~targets.contains(edges[0], nodes[edges[1]])
            edges, weight_E = (edges[0][kept], edges[1][kept]), weight_E[kept]
        block, nodes = block_between(*edges, nodes, weight_E)
        blocks.insert(0, block)
    return blocks, nodes


@njit(nogil=True)
def sample_rows_by_weight(
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    draws: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Up to `fanout` sources of each row, in proportion to weights; all if it is negative.

    Args:
        draws: random numbers in [0, 1), one for each edge of the rows.

    Returns the number of sources of each row, the sources int64, and their weights float32.
    """
    count = np.empty(len(rows), np.int64)
    chosen, chosen_weight = np.empty(len(draws), np.int64), np.empty(len(draws), np.float32)
    filled = drawn = 0
    for number in range(len(rows)):
        first, degree = indptr[rows[number]], indptr[rows[number] + 1] - indptr[rows[number]]
        start = filled
        if fanout < 0 or fanout >= degree:
            for edge in range(first, first + degree):
                chosen[filled], chosen_weight[filled] = indices[edge], weights[edge]
                filled += 1
        else:
            rank, total = np.empty(degree, np.float64), 0.0
            for edge in range(degree):
                rank[edge] = -np.log1p(-draws[drawn + edge]) / weights[first + edge]
                total += weights[first + edge]
            limit, estimate = np.partition(rank, fanout)[fanout], 0.0
            for edge in range(degree):
                if rank[edge] < limit:
                    weight = np.float64(weights[first + edge])
                    chosen[filled] = indices[first + edge]
                    chosen_weight[filled] = weight / -np.expm1(-weight * limit)
                    estimate += weight / -np.expm1(-weight * limit)
                    filled += 1
            scale = (filled - start) * total / degree / max(estimate, 1e-300)
            for place in range(start, filled):
                chosen_weight[place] = chosen_weight[place] * scale
        drawn += degree
        count[number] = filled - start
    return count, chosen[:filled].copy(), chosen_weight[:filled].copy()
