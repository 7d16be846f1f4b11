"""Sampling in proportion to edge weights, and the weights of the sampled edges.

Neighbours are drawn one after the other, each with a probability in proportion to its weight among
those that are left. Seen another way: each edge has an exponential random number of rate w, its
rank, and the k edges with the smallest ranks are the sample (Efraimidis and Spirakis, IPL 2006).

The ranks are the first arrivals at each edge in a Poisson process whose rate is the sum of the
weights, where an arrival is at an edge with a probability in proportion to its weight. So arrivals
are drawn until k + 1 edges have one: about k + 1 draws, each a search in the row's running sum of
weights. If arrivals at edges that have had one become many, the running sum is made anew without
these edges. The process has no memory, so nothing changes for the others.

A sample by weight over-represents light edges as soon as it takes a good part of the neighbours:
one of all neighbours does not depend on weights at all. So each sampled edge gets the weight w / p,
where p = 1 - exp(-w t) is the probability of its rank to be below t, the smallest rank outside of
the sample. Sums with these weights are unbiased estimates of sums over all neighbours (Cohen and
Kaplan, PODC 2007), so the weighted mean over the sample is a consistent estimate of the weighted
mean over all neighbours. If few of many neighbours are sampled, w / p is nearly the same for all,
for the sample is in proportion already. If all are sampled, w / p is w.

The weights are scaled to the number of sampled neighbours times the mean weight of all, because a
node counts as a neighbour of weight 1 in some encoders: without weights, a sample of k neighbours
counts k there, whatever the degree.

Legend: k fanout, d degree without excluded edges, D the largest degree.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.hashing import GAMMA, mix
from hvdtma.sampling.draws.exclusion import (
    filter_of,
    most_edges,
    new_ranges,
    open_row,
    to_edges,
    to_sources,
)

TO_UNIT = 2.0**-53  # turns a random integer of 53 bits into a number in [0, 1)
_LEAST_PRODUCT = 1e-200


@njit(nogil=True)
def sample_by_weight(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    key: np.uint64,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    weights: np.ndarray,
    first_node: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of sampled edges of each row, their sources and their weights."""
    ranges, is_excluded, filled = new_ranges(ex_start), filter_of(ex_row), 0
    most, largest = most_edges(indptr, rows, fanout)
    count, source = np.empty(len(rows), np.int64), np.empty(most + 1, np.int64)
    weight = np.empty(most, np.float32)
    sum_D, has_arrival_D = np.empty(largest, np.float64), np.zeros(largest, np.bool_)
    for number in range(len(rows)):
        row, start = rows[number], filled
        degree, num_ranges = open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, ranges
        )
        size = degree if fanout < 0 else min(fanout, degree)
        count[number] = size
        filled += size
        if size == degree:
            copy_all(weights, ranges, num_ranges, source, weight, start)
            continue
        stream, time, chosen, total = mix(key ^ np.uint64(row + first_node)), 0.0, 0, 0.0
        while chosen <= size:  # the edge after the sample gives the time
            left = _running_sum(weights, ranges, num_ranges, has_arrival_D, chosen > 0, sum_D)
            total = max(total, left)
            chosen, stream, passed = _draw_arrivals(
                sum_D, has_arrival_D, degree, left, stream, source, start, chosen, size
            )
            time += passed
        for place in range(start, filled + 1):
            has_arrival_D[source[place]] = False
        to_edges(source, start, filled, ranges, num_ranges)
        weigh(weights, source, weight, start, filled, time, total / degree, sum_D)
    source = source[:filled]
    to_sources(source, indices)
    return count, source, weight[:filled]


@njit(nogil=True, inline="always")
def _running_sum(
    weights: np.ndarray,
    ranges: np.ndarray,
    num_ranges: int,
    is_left_out_D: np.ndarray,
    any_left_out: bool,
    sum_D: np.ndarray,
) -> float:
    """Write the running sum of a row's weights, some of which are left out; returns the sum."""
    total, place = 0.0, 0
    for part in range(num_ranges):
        for edge in range(ranges[part, 0], ranges[part, 1]):
            if not any_left_out or not is_left_out_D[place]:
                total += weights[edge]
            sum_D[place] = total
            place += 1
    return total


@njit(nogil=True, inline="always")
def _draw_arrivals(
    sum_D: np.ndarray,
    has_arrival_D: np.ndarray,
    degree: int,
    left: float,
    stream: np.uint64,
    found: np.ndarray,
    start: int,
    chosen: int,
    size: int,
) -> tuple[int, np.uint64, float]:
    """Draw arrivals until `size` + 1 places have one, or too many are at places that have had one.

    Args:
        sum_D: running sum of the weights, `left` in all.
        found: the places with an arrival, in order, from `start` on; there are `chosen` before.

    Returns:
        The number of places with an arrival, the state of the random numbers, and the time passed.
    """
    product, repeats, time = 1.0, 0, 0.0
    while chosen <= size and 8 * repeats <= degree + 64:
        stream += GAMMA
        product *= 1.0 - np.float64(mix(stream) >> np.uint64(11)) * TO_UNIT
        if product < _LEAST_PRODUCT:
            time -= np.log(product) / left
            product = 1.0
        stream += GAMMA
        wanted = np.float64(mix(stream) >> np.uint64(11)) * TO_UNIT * left
        place, length = 0, degree  # the first sum above `wanted`; by rounding perhaps the last one
        while length > 1:
            half = length // 2
            place += half if sum_D[place + half - 1] <= wanted else 0
            length -= half
        if has_arrival_D[place]:
            repeats += 1
        else:
            has_arrival_D[place] = True
            found[start + chosen] = place
            chosen += 1
    return chosen, stream, time - np.log(product) / left


@njit(nogil=True, inline="always")
def copy_all(
    weights: np.ndarray,
    ranges: np.ndarray,
    num_ranges: int,
    edge: np.ndarray,
    weight: np.ndarray,
    filled: int,
) -> None:
    """Write all edges of a row and their weights, from place `filled` on."""
    for part in range(num_ranges):
        for each in range(ranges[part, 0], ranges[part, 1]):
            edge[filled], weight[filled] = each, weights[each]
            filled += 1


@njit(nogil=True, inline="always")
def weigh(
    weights: np.ndarray,
    edge: np.ndarray,
    weight: np.ndarray,
    start: int,
    end: int,
    limit: float,
    mean: float,
    value_D: np.ndarray,
) -> None:
    """Write w / p of the sampled edges at places start:end, scaled to a mean.

    Args:
        weights: of all edges.
        limit: the smallest rank outside of the sample.
        value_D: float64, overwritten: values before they are scaled may be too large for float32.
    """
    total = 0.0
    for place in range(start, end):
        x = limit * weights[edge[place]]
        # x / (1 - exp(-x)). Where x is small, the difference would lose digits: a series to 1e-9.
        ratio = 1.0 / (1.0 - 0.5 * x) if x < 1e-4 else x / (1.0 - np.exp(-x))
        total += ratio
        value_D[place - start] = ratio
    if total > 0:
        scale = (end - start) * mean / total
        for place in range(start, end):
            weight[place] = value_D[place - start] * scale
