"""Sampling in proportion to edge weights where rows choose the same sources if they can.

As in `by_weight`, the k edges with the smallest ranks are the sample. A rank is -log(1 - u) / w,
where u is one random number per source for all rows, as in LABOR (coordinated samples; Cohen and
Kaplan, PODC 2007). Parallel edges have random numbers of their own, by the source and a number
among them: with the same one, none could be sampled without the others.

A rank is at least u / w, and few edges have one below (k + some) / (sum of the weights). So most
edges cost a random number and a comparison of u with that bound times w; only the others cost a
logarithm.

Legend: k fanout, d degree without excluded edges, D the largest degree.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.hashing import mix
from hvdtma.sampling.draws.by_weight import TO_UNIT, copy_all, weigh
from hvdtma.sampling.draws.exclusion import (
    filter_of,
    most_edges,
    new_ranges,
    open_row,
    to_sources,
)


@njit(nogil=True)
def sample_coordinated(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    key: np.uint64,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of sampled edges of each row, their sources and their weights."""
    ranges, is_excluded, filled = new_ranges(ex_start), filter_of(ex_row), 0
    most, largest = most_edges(indptr, rows, fanout)
    count, source = np.empty(len(rows), np.int64), np.empty(most, np.int64)
    weight = np.empty(most, np.float32)
    edge_D, rank_D = np.empty(largest, np.int64), np.empty(largest, np.float64)
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
        total = _sum_of(weights, ranges, num_ranges)
        bound, found = _first_bound(size, degree, total), 0
        while found <= size:  # the sample, and the smallest rank outside of it
            found = _below(indices, weights, ranges, num_ranges, bound, key, edge_D, rank_D)
            found = _ranks_below(weights, bound, edge_D, rank_D, found)
            bound = 4 * bound if 4 * bound * total < degree else np.inf
        _select(rank_D, edge_D, found, size)
        source[start:filled] = edge_D[:size]
        weigh(weights, source, weight, start, filled, rank_D[size], total / degree, rank_D)
    source = source[:filled]
    to_sources(source, indices)
    return count, source, weight[:filled]


@njit(nogil=True, inline="always")
def _sum_of(weights: np.ndarray, ranges: np.ndarray, num_ranges: int) -> float:
    """The sum of a row's weights."""
    total = 0.0
    for part in range(num_ranges):
        for edge in range(ranges[part, 0], ranges[part, 1]):
            total += weights[edge]
    return total


@njit(nogil=True, inline="always")
def _first_bound(size: int, degree: int, total: float) -> float:
    """A bound that more than `size` ranks are probably below, and not many more.

    The expected number of ranks below a bound is at most the bound times the sum of the weights.
    """
    wanted = size + 4 + 3 * np.sqrt(size + 1.0)
    return wanted / total if 2 * wanted < degree else np.inf


@njit(nogil=True, inline="always")
def _below(
    indices: np.ndarray,
    weights: np.ndarray,
    ranges: np.ndarray,
    num_ranges: int,
    bound: float,
    key: np.uint64,
    edge_D: np.ndarray,
    draw_D: np.ndarray,
) -> int:
    """Write the edges whose rank can be below a bound, and their random numbers; their number."""
    found, before, parallel = 0, np.int64(-1), 0
    for part in range(num_ranges):
        for edge in range(ranges[part, 0], ranges[part, 1]):
            node = np.int64(indices[edge])
            value = mix(key ^ np.uint64(node))
            parallel = parallel + 1 if node == before else 0
            if parallel:
                value = mix(value + np.uint64(parallel))
            before = node
            draw = np.float64(value >> np.uint64(11)) * TO_UNIT
            edge_D[found], draw_D[found] = edge, draw  # kept if the number moves on
            found += draw < bound * weights[edge]
    return found


@njit(nogil=True, inline="always")
def _ranks_below(
    weights: np.ndarray, bound: float, edge_D: np.ndarray, rank_D: np.ndarray, number: int
) -> int:
    """Turn random numbers into ranks, and keep those below a bound; their number."""
    found = 0
    for place in range(number):
        edge = edge_D[place]
        rank = -np.log(1.0 - rank_D[place]) / weights[edge]
        edge_D[found], rank_D[found] = edge, rank
        found += rank < bound
    return found


@njit(nogil=True, inline="always")
def _select(rank_D: np.ndarray, edge_D: np.ndarray, number: int, wanted: int) -> None:
    """Move the smallest ranks before place `wanted`, and the next one there (FIND, Hoare 1961)."""
    low, high = 0, number - 1
    while low < high:
        middle = rank_D[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while rank_D[left] < middle:
                left += 1
            while middle < rank_D[right]:
                right -= 1
            if left <= right:
                rank_D[left], rank_D[right] = rank_D[right], rank_D[left]
                edge_D[left], edge_D[right] = edge_D[right], edge_D[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
