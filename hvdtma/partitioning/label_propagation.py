"""Label propagation with a size limit. Edges stay on disk; memory holds a few numbers per node.

Each node in turn joins the cluster to which most of its edges lead, if the cluster is not full.
Label propagation is due to Raghavan, Albert and Kumara (Phys. Rev. E 76, 2007); the size limit, for
clustering and for refining parts, to Meyerhenke, Sanders and Schulz (SEA 2014, arXiv 1402.3281);
reading edges from disk to Akhremtsev, Sanders and Schulz (ALENEX 2015, arXiv 1404.4887).

Legend: N nodes, C clusters, n nodes and e edges of a piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.core.console import progress
from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.partitioning.contraction import RowGraph


@dataclass
class Clusters:
    """A clustering of nodes, and limits on the sizes of clusters.

    Attributes:
        cluster_N: int32|int64 [N], 0 .. C-1.
        size_C: int64 [C], sum of the weights of a cluster's nodes.
        node_weight_N: int64 [N]; empty if weights follow from `by_degree`.
        by_degree: a node's weight is its degree plus 1; otherwise it is 1.
        max_size: no node joins a cluster that would exceed it.
        min_size: no node leaves a cluster that would fall below it.
    """

    cluster_N: np.ndarray
    size_C: np.ndarray
    node_weight_N: np.ndarray
    by_degree: bool
    max_size: int
    min_size: int = 0


def label_clusters(csc: CSC, max_size: int, passes: int, seed: int) -> np.ndarray:
    """Clusters of at most `max_size` nodes of a graph in memory: int32 | int64 [N], 0 .. C-1.

    Args:
        csc: undirected; in a directed graph, nodes follow their in-neighbours.
    """
    num_nodes = csc.num_nodes
    dtype = index_dtype(num_nodes)
    cluster_N: np.ndarray = np.arange(num_nodes, dtype=dtype)
    size_C = np.ones(num_nodes, np.int64)
    score_C, nothing = np.zeros(num_nodes, np.int32), np.zeros(0, np.int64)
    rows = 0, csc.indptr, csc.indices, np.zeros(0, np.int32), nothing, False
    for number in range(passes):
        moved = _move(*rows, cluster_N, size_C, score_C, 0, max_size, seed * passes + number)
        if moved < num_nodes // 200:
            break
    open_C: np.ndarray = np.full(num_nodes + 1, -1, dtype)
    _merge_singles(*rows, cluster_N, size_C, score_C, open_C, max_size)
    return compact(cluster_N, num_nodes)[0]


def propagate(
    graph: RowGraph, clusters: Clusters, passes: int, seed: int, max_edges: int, what: str
) -> None:
    """Move every node to its best cluster, up to `passes` times, in the order of the graph.

    Stops early when few nodes move.

    Args:
        max_edges: edges per piece that is read.
        what: title of the progress bar.
    """
    score_C = np.zeros(len(clusters.size_C), np.int32)
    for number in range(passes):
        moved = 0
        with progress(f"{what}, pass {number + 1}", graph.num_edges, "edges") as advance:
            pieces = graph.pieces(max_edges)
            for rows in map_in_order(lambda make: make(), pieces, num_workers()):
                moved += _move(
                    *rows,
                    clusters.node_weight_N,
                    clusters.by_degree,
                    clusters.cluster_N,
                    clusters.size_C,
                    score_C,
                    clusters.min_size,
                    clusters.max_size,
                    seed * passes + number,
                )
                advance(len(rows.indices))
        if moved < graph.num_nodes // 200:
            return


def merge_small(graph: RowGraph, clusters: Clusters, max_edges: int) -> None:
    """Merge single nodes that would join the same cluster if it were not full.

    So the nodes around a hub that its cluster has no space for form further clusters ("two-hop"
    matching, LaSalle et al., IA3 2015). Nodes without edges are merged too.
    """
    dtype = index_dtype(len(clusters.size_C))
    open_C: np.ndarray = np.full(len(clusters.size_C) + 1, -1, dtype)
    score_C = np.zeros(len(clusters.size_C), np.int32)
    with progress("merging small clusters", graph.num_edges, "edges") as advance:
        for rows in map_in_order(lambda make: make(), graph.pieces(max_edges), num_workers()):
            _merge_singles(
                *rows,
                clusters.node_weight_N,
                clusters.by_degree,
                clusters.cluster_N,
                clusters.size_C,
                score_C,
                open_C,
                clusters.max_size,
            )
            advance(len(rows.indices))


def compact(cluster_N: np.ndarray, num_clusters: int) -> tuple[np.ndarray, int]:
    """The same clusters with numbers without gaps, and the number of clusters."""
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
def _tie_breaker(node: int, cluster: int, seed: int) -> np.uint64:
    """A pseudo-random number that decides between equal scores (SplitMix64's finaliser)."""
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
    """Sum a row's edge weights by cluster in `score_C`; return the number of clusters touched."""
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
    min_size: int,
    max_size: int,
    seed: int,
) -> int:
    """Move the nodes of a piece; return how many moved. `score_C` is 0 before and after.

    Nodes of a cluster that is too large move to any neighbouring cluster with space.
    """
    touched = np.empty(np.max(np.diff(indptr)), cluster_N.dtype)
    moved = 0
    for row in range(len(indptr) - 1):
        node, start, stop = first + row, indptr[row], indptr[row + 1]
        current = cluster_N[node]
        weight = _weight(node, stop - start, len(weight_N) > 0, weight_N, by_degree)
        num = _scores(start, stop, indices, weights, cluster_N, score_C, touched)
        best, best_tie = current, np.uint64(0)
        best_score = score_C[current]
        if size_C[current] > max_size:  # leave it, however many edges are cut
            best_score = 0
        for place in range(num):
            cluster = touched[place]
            score = score_C[cluster]
            score_C[cluster] = 0
            if cluster == current or score < best_score or size_C[cluster] + weight > max_size:
                continue
            tie = _tie_breaker(node, cluster, seed)
            if score > best_score or (best != current and tie > best_tie):
                best, best_score, best_tie = cluster, score, tie
        if best != current and size_C[current] - weight >= min_size:
            size_C[current] -= weight
            size_C[best] += weight
            cluster_N[node] = best
            moved += 1
    return moved


@njit(nogil=True)
def _merge_singles(
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
    max_size: int,
) -> None:
    """Merge nodes that are alone in their cluster and have the same favourite cluster.

    `open_C` is, for each favourite, the cluster that such nodes join, or -1. Its last entry is for
    nodes without edges.
    """
    touched = np.empty(np.max(np.diff(indptr)), cluster_N.dtype)
    for row in range(len(indptr) - 1):
        node, start, stop = first + row, indptr[row], indptr[row + 1]
        current = cluster_N[node]
        weight = _weight(node, stop - start, len(weight_N) > 0, weight_N, by_degree)
        if size_C[current] != weight:  # not alone
            continue
        num = _scores(start, stop, indices, weights, cluster_N, score_C, touched)
        favourite, best_score = len(open_C) - 1, 0
        for place in range(num):
            cluster = touched[place]
            if score_C[cluster] > best_score:
                favourite, best_score = cluster, score_C[cluster]
            score_C[cluster] = 0
        target = open_C[favourite]
        if target >= 0 and target != current and size_C[target] + weight <= max_size:
            size_C[current] -= weight
            size_C[target] += weight
            cluster_N[node] = target
        else:
            open_C[favourite] = current
