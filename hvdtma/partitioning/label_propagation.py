"""Label propagation under a size limit, with edges on disk and a few numbers a node in memory.

Every node in turn joins the cluster that most of its edges lead to, among those with room for it.
Raghavan, Albert and Kumara (Phys. Rev. E 76, 2007) without the limit; Meyerhenke, Sanders and
Schulz (SEA 2014, arXiv 1402.3281) with it, for clustering and for refining parts; Akhremtsev,
Sanders and Schulz (ALENEX 2015, arXiv 1404.4887) with edges read from disk, as here.

Legend: N nodes, C clusters, n nodes of a piece, e edges of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.core.console import progress
from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.csc import index_dtype
from hvdtma.partitioning.contraction import RowGraph

STATE_BYTES = 12  # a node or cluster: its size, and a score; beside the cluster of each node


@dataclass
class Clusters:
    """Which cluster each node is in, how large clusters are and may be.

    Attributes:
        cluster_N: int32|int64 [N], 0 .. C-1.
        size_C: int64 [C].
        node_weight_N: int64 [N]; empty where a node weighs 1, or its degree and 1.
        by_degree: which of the two.
        least, most: size of a cluster that is left or joined, at least and at most.
    """

    cluster_N: np.ndarray
    size_C: np.ndarray
    node_weight_N: np.ndarray
    by_degree: bool
    most: int
    least: int = 0


def propagate(
    graph: RowGraph, clusters: Clusters, passes: int, seed: int, most_edges: int, what: str
) -> None:
    """Let every node move `passes` times, in the graph's order; ends early if few still do."""
    score_C = np.zeros(len(clusters.size_C), np.int32)
    for number in range(passes):
        moved = 0
        with progress(f"{what}, pass {number + 1}", graph.num_edges, "edges") as advance:
            pieces = graph.pieces(most_edges)
            for rows in map_in_order(lambda make: make(), pieces, num_workers()):
                moved += _move(
                    *rows,
                    clusters.node_weight_N,
                    clusters.by_degree,
                    clusters.cluster_N,
                    clusters.size_C,
                    score_C,
                    clusters.least,
                    clusters.most,
                    seed * passes + number,
                )
                advance(len(rows.indices))
        if moved < graph.num_nodes // 200:
            return


def gather_small(graph: RowGraph, clusters: Clusters, most_edges: int) -> None:
    """Put small clusters together that would join the same cluster, were there room in it.

    What is left over around a hub becomes clusters of its own ("two-hop" matching, LaSalle et al.,
    IA3 2015); nodes without edges are put together too.
    """
    dtype = index_dtype(len(clusters.size_C))
    open_C: np.ndarray = np.full(len(clusters.size_C) + 1, -1, dtype)
    score_C = np.zeros(len(clusters.size_C), np.int32)
    with progress("gathering small clusters", graph.num_edges, "edges") as advance:
        for rows in map_in_order(lambda make: make(), graph.pieces(most_edges), num_workers()):
            _gather(
                *rows,
                clusters.node_weight_N,
                clusters.by_degree,
                clusters.cluster_N,
                clusters.size_C,
                score_C,
                open_C,
                clusters.most,
            )
            advance(len(rows.indices))


def compact(cluster_N: np.ndarray, num_clusters: int) -> tuple[np.ndarray, int]:
    """The same clusters numbered without gaps, and how many there are."""
    used_C = np.zeros(num_clusters, bool)
    used_C[cluster_N] = True
    number_C = np.cumsum(used_C, dtype=cluster_N.dtype) - 1
    return number_C[cluster_N].astype(cluster_N.dtype, copy=False), int(used_C.sum())


@njit(nogil=True)
def _weight(node: int, degree: int, has_weight: bool, weight_N: np.ndarray, by_degree: bool) -> int:
    if has_weight:
        return weight_N[node]
    return degree + 1 if by_degree else 1


@njit(nogil=True)
def _luck(node: int, cluster: int, seed: int) -> np.uint64:
    """A number that decides between equals (SplitMix64's finaliser)."""
    x = np.uint64(node) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(cluster)
    x = (x + np.uint64(seed)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True)
def _scores(
    start: int,
    stop: int,
    indices: np.ndarray,
    weights: np.ndarray,
    cluster_N: np.ndarray,
    score_C: np.ndarray,
    touched: np.ndarray,
) -> int:
    """Add up a row's edges by cluster; how many clusters were touched."""
    num = 0
    for edge in range(start, stop):
        cluster = cluster_N[indices[edge]]
        if score_C[cluster] == 0:
            touched[num] = cluster
            num += 1
        score_C[cluster] += weights[edge] if len(weights) else 1
    return num


@njit(nogil=True)
def _move(
    first: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    weight_N: np.ndarray,
    by_degree: bool,
    cluster_N: np.ndarray,
    size_C: np.ndarray,
    score_C: np.ndarray,
    least: int,
    most: int,
    seed: int,
) -> int:
    """Let the nodes of a piece move; how many did. `score_C` is 0 before and after.

    Of a cluster that is too large, nodes move where they have any edge to and there is room.
    """
    touched = np.empty(np.max(np.diff(indptr)), cluster_N.dtype)
    moved = 0
    for row in range(len(indptr) - 1):
        node, start, stop = first + row, indptr[row], indptr[row + 1]
        own = cluster_N[node]
        weight = _weight(node, stop - start, len(weight_N) > 0, weight_N, by_degree)
        num = _scores(start, stop, indices, weights, cluster_N, score_C, touched)
        best, luck = own, np.uint64(0)
        best_score = score_C[own]
        if size_C[own] > most:  # whatever it costs
            best_score = 0
        for place in range(num):
            cluster = touched[place]
            score = score_C[cluster]
            score_C[cluster] = 0
            if cluster == own or score < best_score or size_C[cluster] + weight > most:
                continue
            chance = _luck(node, cluster, seed)
            if score > best_score or (best != own and chance > luck):
                best, best_score, luck = cluster, score, chance
        if best != own and size_C[own] - weight >= least:
            size_C[own] -= weight
            size_C[best] += weight
            cluster_N[node] = best
            moved += 1
    return moved


@njit(nogil=True)
def _gather(
    first: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    weight_N: np.ndarray,
    by_degree: bool,
    cluster_N: np.ndarray,
    size_C: np.ndarray,
    score_C: np.ndarray,
    open_C: np.ndarray,
    most: int,
) -> None:
    """Move nodes that are alone; `open_C` is where those with the same favourite gather.

    Its last place is for nodes without edges.
    """
    touched = np.empty(np.max(np.diff(indptr)), cluster_N.dtype)
    for row in range(len(indptr) - 1):
        node, start, stop = first + row, indptr[row], indptr[row + 1]
        own = cluster_N[node]
        weight = _weight(node, stop - start, len(weight_N) > 0, weight_N, by_degree)
        if size_C[own] != weight:  # not alone
            continue
        num = _scores(start, stop, indices, weights, cluster_N, score_C, touched)
        favourite, best_score = len(open_C) - 1, 0
        for place in range(num):
            cluster = touched[place]
            if score_C[cluster] > best_score:
                favourite, best_score = cluster, score_C[cluster]
            score_C[cluster] = 0
        gathered = open_C[favourite]
        if gathered >= 0 and gathered != own and size_C[gathered] + weight <= most:
            size_C[own] -= weight
            size_C[gathered] += weight
            cluster_N[node] = gathered
        else:
            open_C[favourite] = own
