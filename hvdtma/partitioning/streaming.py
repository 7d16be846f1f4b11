"""Groups of a graph whose edges do not fit in memory: cluster, contract, METIS, refine.

Akhremtsev, Sanders and Schulz, "(Semi-)External Algorithms for Graph Partitioning and Clustering"
(ALENEX 2015, arXiv 1404.4887): label propagation under a size limit makes clusters from edges that
are read from disk, the much smaller graph of clusters is partitioned in memory, and label
propagation again refines the parts on the whole graph. MemoryBudget holds a few numbers a node.

Legend: N nodes, C clusters, G groups.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hvdtma.core.console import stage
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.graph.sort.edge_sorter import KEY_BYTES, EdgeSorter
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import edges_per_batch
from hvdtma.partitioning.contraction import RowGraph, ScratchGraph, StoredGraph, contracted
from hvdtma.partitioning.label_propagation import Clusters, compact, gather_small, propagate
from hvdtma.partitioning.metis import metis_bytes, metis_groups

CLUSTERS_PER_GROUP = 8  # at least: what METIS may move between groups
CLUSTERING_PASSES = 5
REFINING_PASSES = 5
IMBALANCE = 1.03  # METIS' own default
NODE_BYTES = 40  # clusters, sizes, scores and, of a directed graph, where rows begin; at most
WIDE_NODE_BYTES = 60  # beyond 2^31 nodes
SHRINKING = 0.9  # a level that leaves more than this share of its nodes is not worth another


@dataclass(frozen=True)
class ClusterJob:
    """What to group, and within what.

    Attributes:
        num_groups: G.
        balance: `nodes` or `edges`, of which groups are to have equally many.
        folder: for what does not fit in memory.
        room: bytes to work in, beside what is held for each node.
    """

    store: GraphStore
    num_groups: int
    balance: str
    seed: int
    folder: Path
    room: int

    @property
    def most_edges(self) -> int:
        """Of a piece that is read."""
        return edges_per_batch(self.room // 8)


def streaming_groups(
    store: GraphStore,
    num_groups: int,
    *,
    seed: int,
    balance: str,
    memory: MemoryBudget,
    folder: Path,
) -> np.ndarray:
    """Group int32|int64 [N] of every node, 0 .. G-1; few edges leave theirs.

    Refinement joins no group that is 3 % above the mean, and drains those that are. The same seed
    gives the same groups; memory only matters where even the graph of clusters does not fit in it.

    Raises UserError for too little memory.
    """
    if num_groups == 1:
        return np.zeros(store.num_nodes, index_dtype(store.num_nodes))
    what = f"clustering {store.num_nodes:,} nodes"
    memory.available(least_to_stream(store), what)
    room = memory.available(_held_bytes(store), what)
    task = ClusterJob(store, num_groups, balance, seed, folder, room)
    whole = _both_ways(task)
    group_N = _grouped(task, whole)
    clusters = _of_groups(task, whole, group_N)
    propagate(whole, clusters, REFINING_PASSES, seed, task.most_edges, "refining groups")
    if isinstance(whole, ScratchGraph):
        whole.remove()
    return clusters.cluster_N


def least_to_stream(store: GraphStore) -> int:
    """The least bytes of memory that `streaming_groups` takes."""
    return _held_bytes(store) + EdgeSorter.least_bytes(2 * store.num_edges)


def _held_bytes(store: GraphStore) -> int:
    """What is held of every node."""
    return (NODE_BYTES if store.num_nodes < 2**31 else WIDE_NODE_BYTES) * store.num_nodes


def disk_to_cluster(store: GraphStore) -> int:
    """Bytes of disk, at most: keys of all edges, and rows of those of the level before."""
    edges = store.num_edges * (2 - store.undirected)
    row_bytes = np.dtype(index_dtype(store.num_nodes)).itemsize + 4
    copies = 1 + (not store.undirected)
    return edges * (KEY_BYTES + copies * row_bytes)


def _both_ways(task: ClusterJob) -> RowGraph:
    """The store's own rows if it is undirected, else a copy that is."""
    if task.store.undirected:
        return StoredGraph(task.store)
    none: np.ndarray = np.zeros(0, index_dtype(task.store.num_nodes))
    folder = task.folder / "both-ways"
    return contracted(task.store, none, task.store.num_nodes, folder, task.room)


def _grouped(task: ClusterJob, whole: RowGraph) -> np.ndarray:
    """Groups before refinement: of clusters, as many levels as METIS needs to fit."""
    by_degree = task.balance == "edges"
    num_nodes = whole.num_nodes
    total = whole.num_edges + num_nodes if by_degree else num_nodes
    most = max(total // (task.num_groups * CLUSTERS_PER_GROUP), 1)
    cluster_N: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
    num_clusters = num_nodes
    graph, weight_C = whole, np.zeros(0, np.int64)
    level = 0
    while True:
        found_C, size_C = _clustered(task, graph, weight_C, by_degree, most)
        before, num_clusters = num_clusters, len(size_C)
        cluster_N = found_C if level == 0 else found_C[cluster_N]
        if isinstance(graph, ScratchGraph) and graph is not whole:
            graph.remove()
        level += 1
        coarse = contracted(
            task.store, cluster_N, num_clusters, task.folder / f"level-{level}", task.room
        )
        graph, weight_C = coarse, size_C
        if metis_bytes(num_clusters, coarse.num_edges) <= task.room:
            group_C = _metis_of(task, coarse, size_C)
            break
        if num_clusters > SHRINKING * before and most >= total // task.num_groups:
            group_C = _packed(size_C, task.num_groups)
            break
        most = min(2 * most, max(total // task.num_groups, 1))
    coarse.remove()
    return group_C.astype(cluster_N.dtype)[cluster_N]


def _clustered(
    task: ClusterJob, graph: RowGraph, weight_C: np.ndarray, by_degree: bool, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of the nodes of `graph`, numbered without gaps, and their sizes."""
    num_nodes = graph.num_nodes
    sizes = weight_C.copy() if len(weight_C) else _sizes(task, graph, by_degree)
    nodes: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
    clusters = Clusters(nodes, sizes, weight_C, by_degree, most)
    propagate(graph, clusters, CLUSTERING_PASSES, task.seed, task.most_edges, "clustering")
    gather_small(graph, clusters, task.most_edges)
    found, _ = compact(clusters.cluster_N, num_nodes)
    return found, clusters.size_C[clusters.size_C > 0]


def _sizes(task: ClusterJob, graph: RowGraph, by_degree: bool) -> np.ndarray:
    """What each node of the whole graph weighs, int64 [N]."""
    weight_N = np.ones(graph.num_nodes, np.int64)
    if by_degree:
        for make in graph.pieces(task.most_edges):
            rows = make()
            weight_N[rows.first : rows.first + len(rows.indptr) - 1] += np.diff(rows.indptr)
    return weight_N


def _metis_of(task: ClusterJob, coarse: ScratchGraph, size_C: np.ndarray) -> np.ndarray:
    """METIS on the graph of clusters; every cluster a group where there are too few."""
    if coarse.num_nodes <= task.num_groups:
        return np.arange(coarse.num_nodes)
    with stage(f"METIS on {coarse.num_nodes:,} clusters, {coarse.num_edges:,} edges"):
        rows = coarse.rows(0, coarse.num_nodes)
        csc = CSC(rows.indptr, rows.indices)
        return metis_groups(csc, task.num_groups, task.seed, size_C, rows.weights)


def _packed(size_C: np.ndarray, num_groups: int) -> np.ndarray:
    """Groups of whole clusters, equal in size: the largest first, each where most room is."""
    heap = [(0, group) for group in range(num_groups)]
    group_C = np.empty(len(size_C), np.int64)
    for cluster in np.argsort(-size_C, kind="stable").tolist():
        size, group = heapq.heappop(heap)
        group_C[cluster] = group
        heapq.heappush(heap, (size + int(size_C[cluster]), group))
    return group_C


def _of_groups(task: ClusterJob, whole: RowGraph, group_N: np.ndarray) -> Clusters:
    """Groups to refine: none gets above the limit, or below the half of the mean."""
    by_degree = task.balance == "edges"
    weight_N = _sizes(task, whole, by_degree)
    size_G = np.zeros(task.num_groups, np.int64)
    np.add.at(size_G, group_N, weight_N)
    mean = int(size_G.sum()) / task.num_groups
    none = np.zeros(0, np.int64)
    least, most = int(mean / 2), int(mean * IMBALANCE) + 1
    return Clusters(group_N, size_G, none, by_degree, most, least)
