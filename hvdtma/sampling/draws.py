"""Compiled sampling of neighbours: uniform, by weight, or LABOR.

Random numbers come from a counter-based hash: they are a function of a key, a node and a counter.
So a sample does not depend on the order of the rows, or on the number of threads that draw it.

Uniform: k of d neighbours without replacement, all sets of k equally likely (Floyd's algorithm,
Bentley and Floyd, CACM 1987; above `FLOYD_MOST` selection sampling, Knuth, TAOCP 2, 3.4.2 S).

LABOR-0 (Balin and Catalyurek, NeurIPS 2023): every source u has one random number r_u in [0, 1) for
all rows, and is a neighbour of row v if r_u < k / d_v. A row has k neighbours on average. Rows
choose the same sources where they can, so a batch reads fewer distinct nodes.

By weight: neighbours are drawn one after the other, each with a probability in proportion to its
weight among those that are left. This is done with one exponential random number of rate w for each
edge, its rank: the k edges with the smallest ranks are the sample (Efraimidis and Spirakis, IPL
2006). If ranks are made from one random number per source, rows choose the same sources where they
can, as in LABOR (coordinated samples; Cohen and Kaplan, PODC 2007).

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

Legend: S rows, E sampled edges, k fanout, d degree without excluded edges, M excluded edges.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.core.threads import num_workers
from hvdtma.graph.csc import CSC, first_at_least
from hvdtma.graph.hashing import mix

FLOYD_MOST = 48  # Floyd's algorithm takes O(k^2) comparisons
ROWS_PER_PIECE = 8192  # of a thread
LABOR_AT_ONCE = 1024  # neighbours whose random numbers are made at once
_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # the step of SplitMix64
_TO_UNIT = 2.0**-53


class Exclusion(NamedTuple):
    """Edges that no sample may have: sources by row.

    Attributes:
        row: int64 [R] rows with excluded edges, ascending and distinct.
        start: int64 [R + 1]; row `row[i]` has the sources start[i] : start[i + 1].
        source: int64 [M], ascending and distinct within a row.
    """

    row: np.ndarray
    start: np.ndarray
    source: np.ndarray

    @classmethod
    def of(cls, src_Q: np.ndarray, dst_Q: np.ndarray, num_nodes: int) -> Exclusion:
        """Exclude the edges between pairs of nodes (int64 [Q]), in both directions."""
        return cls.one_way(np.r_[src_Q, dst_Q], np.r_[dst_Q, src_Q], num_nodes)

    @classmethod
    def one_way(cls, src_Q: np.ndarray, dst_Q: np.ndarray, num_src: int) -> Exclusion:
        """Exclude the edges from src to dst (int64 [Q]); sources are numbers below `num_src`."""
        row_M, source_M = np.divmod(np.unique(dst_Q * np.int64(num_src) + src_Q), num_src)
        row, start = np.unique(row_M, return_index=True)
        return cls(row, np.append(start, len(row_M)), source_M)


NOTHING = Exclusion(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))


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
        threads: None: all cores of this process.
    """
    kernel: Any = _sample_labor if labor else _sample_uniform
    options: list[Any] = [] if labor else [first_node]
    if csc.weight is not None:
        kernel, options = _sample_by_weight, [csc.weight, labor, first_node]

    def sample(piece: slice) -> tuple[np.ndarray, ...]:
        rows = rows_S[piece]
        return kernel(csc.indptr, csc.indices, rows, fanout, np.uint64(key), *excluded, *options)

    pieces = [
        slice(start, start + ROWS_PER_PIECE) for start in range(0, len(rows_S), ROWS_PER_PIECE)
    ] or [slice(0, 0)]
    workers = min(threads or num_workers(), len(pieces))
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
    count, source, weight = _edges_within(
        csc.indptr, csc.indices, rows_S, *excluded, weights, is_member
    )
    indptr = np.concatenate([[0], np.cumsum(count)])
    return SampledEdges(indptr, source, None if csc.weight is None else weight)


def layer_key(seed: int, layer: int) -> int:
    """The key of a layer's sample."""
    return int(mix(mix(np.uint64(seed)) ^ np.uint64(layer)))


@njit(nogil=True)
def _unit(value: np.uint64) -> float:
    """A hash as a number in [0, 1)."""
    return np.float64(value >> np.uint64(11)) * _TO_UNIT


@njit(nogil=True)
def _below(value: np.uint64, bound: int) -> Any:
    """A hash as an integer below a bound (Lemire, ACM TOMACS 2019), which is below 2^32."""
    return np.int64(((value >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@njit(nogil=True, inline="always")
def _open_row(
    indptr: np.ndarray,
    indices: np.ndarray,
    row: int,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    is_excluded: np.ndarray,
    gaps: np.ndarray,
) -> tuple[int, int, int]:
    """Write the ranges of a row's excluded edges to `gaps` [R, 2], ascending.

    Returns the row's first edge, its degree without excluded edges, and the number of ranges.
    Places in `gaps` count from the row's first edge.
    """
    first, end = indptr[row], indptr[row + 1]
    degree = end - first
    if not is_excluded[row & (len(is_excluded) - 1)]:
        return first, degree, 0
    place = first_at_least(ex_row, 0, len(ex_row), row)
    if place == len(ex_row) or ex_row[place] != row:
        return first, degree, 0
    found, low = 0, first
    for number in range(ex_start[place], ex_start[place + 1]):
        low = first_at_least(indices, low, end, ex_source[number])
        start = low
        while low < end and indices[low] == ex_source[number]:
            low += 1
        if low > start:
            gaps[found, 0], gaps[found, 1] = start - first, low - first
            found += 1
            degree -= low - start
    return first, degree, found


@njit(nogil=True)
def _new_gaps(ex_start: np.ndarray) -> np.ndarray:
    """An array for the ranges of any row."""
    most = 0
    for row in range(len(ex_start) - 1):
        most = max(most, ex_start[row + 1] - ex_start[row])
    return np.empty((most, 2), np.int64)


@njit(nogil=True)
def _filter(ex_row: np.ndarray) -> np.ndarray:
    """A table that most rows without excluded edges are recognised by, at their last bits."""
    size = 64
    while size < 8 * len(ex_row):
        size *= 2
    table = np.zeros(size, np.bool_)
    for row in ex_row:
        table[row & (size - 1)] = True
    return table


@njit(nogil=True, inline="always")
def _edge(first: int, place: int, gaps: np.ndarray, num_gaps: int) -> int:
    """The edge that is number `place` of those outside of the gaps of a row."""
    for gap in range(num_gaps):
        if place < gaps[gap, 0]:
            break
        place += gaps[gap, 1] - gaps[gap, 0]
    return first + place


@njit(nogil=True, inline="always")
def _skip_gaps(edges: np.ndarray, first: int, gaps: np.ndarray, num_gaps: int) -> None:
    """Turn numbers of edges that count those outside of a row's gaps into numbers of edges."""
    for number in range(len(edges)):
        edges[number] = _edge(first, edges[number] - first, gaps, num_gaps)


@njit(nogil=True)
def _most_edges(indptr: np.ndarray, rows: np.ndarray, fanout: int) -> int:
    """The most edges that a sample of `fanout` edges for each row can have."""
    most = 0
    for row in rows:
        degree = indptr[row + 1] - indptr[row]
        most += degree if fanout < 0 else min(degree, fanout)
    return most


@njit(nogil=True)
def _sample_uniform(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    key: np.uint64,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    first_node: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The number of sampled edges of each row, and their sources."""
    gaps, is_excluded, filled = _new_gaps(ex_start), _filter(ex_row), 0
    count, seen = np.empty(len(rows), np.int64), np.full(256, -1)
    source = np.empty(_most_edges(indptr, rows, fanout), np.int64)
    for number in range(len(rows)):
        row, start = rows[number], filled
        first, degree, num_gaps = _open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, gaps
        )
        size = degree if fanout < 0 else min(fanout, degree)
        count[number] = size
        filled += size
        if size == degree:
            for place in range(degree):
                source[start + place] = first + place
            if num_gaps:
                _skip_gaps(source[start:filled], first, gaps, num_gaps)
            continue
        stream = mix(key ^ np.uint64(row + first_node))
        if size <= FLOYD_MOST:
            for chosen in range(size):
                last = degree - size + chosen
                stream += _GAMMA
                place = _below(mix(stream), last + 1)
                if seen[place & 255] == number:  # perhaps this place, else one like it
                    for earlier in range(start, start + chosen):
                        if source[earlier] == place:
                            place = last
                            break
                seen[place & 255] = number
                source[start + chosen] = place
            for chosen in range(start, filled):
                source[chosen] += first
        else:
            chosen = start
            for place in range(degree):
                stream += _GAMMA
                if _below(mix(stream), degree - place) < filled - chosen:
                    source[chosen] = first + place
                    chosen += 1
        if num_gaps:
            _skip_gaps(source[start:filled], first, gaps, num_gaps)
    source = source[:filled]
    for edge in range(filled):  # a loop of its own: the processor waits for many reads at once
        source[edge] = indices[source[edge]]
    return count, source


@njit(nogil=True)
def _labor_hashes(
    nodes: np.ndarray, low_key: np.uint32, high_key: np.uint32, out: np.ndarray
) -> None:
    """A hash of 32 bits for each node: MurmurHash3's finaliser, with a key before each step.

    A loop without branches, which is vectorised: hubs have many neighbours.
    """
    for place in range(len(nodes)):
        x = np.uint32(nodes[place]) ^ low_key
        x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)) ^ high_key
        x = np.uint32((x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        out[place] = x ^ (x >> np.uint32(16))


@njit(nogil=True)
def _sample_labor(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    key: np.uint64,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The number of sampled edges of each row, and their sources."""
    gaps, is_excluded, filled = _new_gaps(ex_start), _filter(ex_row), 0
    count = np.empty(len(rows), np.int64)
    source = np.empty(_most_edges(indptr, rows, fanout) + LABOR_AT_ONCE, np.int64)
    low_key, high_key = np.uint32(key), np.uint32(key >> np.uint64(32))
    hashes = np.empty(LABOR_AT_ONCE, np.uint32)
    for number in range(len(rows)):
        row, start = rows[number], filled
        first, degree, num_gaps = _open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, gaps
        )
        if fanout < 0 or degree <= fanout:
            for place in range(degree):
                source[filled] = indices[_edge(first, place, gaps, num_gaps)]
                filled += 1
            count[number] = degree
            continue
        limit = np.uint32(fanout / degree * 2.0**32)
        low = first
        for gap in range(num_gaps + 1):
            end = indptr[row + 1] if gap == num_gaps else first + gaps[gap, 0]
            while low < end:
                size = min(end - low, LABOR_AT_ONCE)
                _labor_hashes(indices[low : low + size], low_key, high_key, hashes)
                if filled + size > len(source):
                    source = np.concatenate((source, np.empty(len(source) + size, np.int64)))
                for place in range(size):
                    source[filled] = indices[low + place]  # kept if the number moves on
                    filled += hashes[place] < limit
                low += size
            if gap < num_gaps:
                low = first + gaps[gap, 1]
        count[number] = filled - start
    return count, source[:filled]


@njit(nogil=True)
def _sample_by_weight(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    fanout: int,
    key: np.uint64,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    weights: np.ndarray,
    labor: bool,
    first_node: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of sampled edges of each row, their sources and their weights."""
    gaps, is_excluded, filled = _new_gaps(ex_start), _filter(ex_row), 0
    count, most = np.empty(len(rows), np.int64), _most_edges(indptr, rows, fanout)
    source, weight = np.empty(most, np.int64), np.empty(most, np.float32)
    for number in range(len(rows)):
        row, start = rows[number], filled
        first, degree, num_gaps = _open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, gaps
        )
        size = degree if fanout < 0 else min(fanout, degree)
        count[number] = size
        if size == degree:
            for place in range(degree):
                edge = _edge(first, place, gaps, num_gaps)
                source[filled], weight[filled] = indices[edge], weights[edge]
                filled += 1
            continue
        stream = mix(key ^ np.uint64(row + first_node))
        rank, total = np.empty(degree, np.float64), 0.0
        for place in range(degree):
            edge = _edge(first, place, gaps, num_gaps)
            if labor:
                draw = _unit(mix(key ^ np.uint64(indices[edge])))
            else:
                stream += _GAMMA
                draw = _unit(mix(stream))
            rank[place] = -np.log1p(-draw) / weights[edge]
            total += weights[edge]
        limit, estimate = np.partition(rank, size)[size], 0.0
        for place in range(degree):
            edge = _edge(first, place, gaps, num_gaps)
            # Parallel edges share their random number with labor, so ranks can be equal.
            if rank[place] < limit:
                own = np.float64(weights[edge])
                source[filled] = indices[edge]
                weight[filled] = own / -np.expm1(-own * limit)
                estimate += own / -np.expm1(-own * limit)
                filled += 1
        count[number] = filled - start
        scale = (filled - start) * total / degree / max(estimate, 1e-300)
        for place in range(start, filled):
            weight[place] = weight[place] * scale
    return count, source[:filled], weight[:filled]


@njit(nogil=True)
def renumber(seeds_S: np.ndarray, source_E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct nodes [n], seeds first, and the positions of the sources among them [E].

    The other nodes follow in the order in which the sources name them. A hash table with open
    addressing.

    Args:
        seeds_S: int64, distinct.
        source_E: int64.
    """
    bits = 4
    while (1 << bits) < 2 * (len(seeds_S) + len(source_E)):
        bits += 1
    shift, last = np.uint64(64 - bits), (1 << bits) - 1
    slot_node = np.full(1 << bits, -1, np.int64)
    slot_place = np.empty(1 << bits, np.int32)
    nodes = np.empty(len(seeds_S) + len(source_E), np.int64)
    local = np.empty(len(source_E), np.int64)
    num_nodes = 0
    for number in range(len(seeds_S) + len(source_E)):
        node = seeds_S[number] if number < len(seeds_S) else source_E[number - len(seeds_S)]
        slot = np.int64((np.uint64(node) * _GAMMA) >> shift)
        while slot_node[slot] != node and slot_node[slot] >= 0:
            slot = (slot + 1) & last
        if slot_node[slot] < 0:
            slot_node[slot], slot_place[slot] = node, num_nodes
            nodes[num_nodes] = node
            num_nodes += 1
        if number >= len(seeds_S):
            local[number - len(seeds_S)] = slot_place[slot]
    return nodes[:num_nodes].copy(), local


@njit(nogil=True)
def _edges_within(
    indptr: np.ndarray,
    indices: np.ndarray,
    rows: np.ndarray,
    ex_row: np.ndarray,
    ex_start: np.ndarray,
    ex_source: np.ndarray,
    weights: np.ndarray,
    is_member: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gaps, is_excluded, filled = _new_gaps(ex_start), _filter(ex_row), 0
    count, most = np.empty(len(rows), np.int64), _most_edges(indptr, rows, -1)
    source, weight = np.empty(most, np.int64), np.empty(most if len(weights) else 0, np.float32)
    for number in range(len(rows)):
        row, start = rows[number], filled
        first, degree, num_gaps = _open_row(
            indptr, indices, row, ex_row, ex_start, ex_source, is_excluded, gaps
        )
        for place in range(degree):
            edge = _edge(first, place, gaps, num_gaps)
            if is_member[indices[edge]]:
                source[filled] = indices[edge]
                if len(weights):
                    weight[filled] = weights[edge]
                filled += 1
        count[number] = filled - start
    return count, source[:filled].copy(), weight[:filled].copy()
