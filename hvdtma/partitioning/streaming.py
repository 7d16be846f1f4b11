"""Groups the nodes of a graph whose edges do not fit in memory: cluster, contract, METIS, refine.

The method is that of Akhremtsev, Sanders and Schulz, "(Semi-)External Algorithms for Graph
Partitioning and Clustering" (ALENEX 2015, arXiv 1404.4887). Label propagation with a size limit
makes clusters while it reads edges from disk. METIS partitions the much smaller graph of clusters
in memory. Label propagation on the whole graph then refines the groups. Memory holds a few numbers
per node.

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
from hvdtma.partitioning.contraction import RowGraph, ScratchGraph, StoredGraph, contract
from hvdtma.partitioning.label_propagation import Clusters, compact, merge_small, propagate
from hvdtma.partitioning.metis import metis_bytes, metis_groups

CLUSTERS_PER_GROUP = 8  # at least, so that METIS can move clusters between groups
CLUSTERING_PASSES = 5
REFINING_PASSES = 5
IMBALANCE = 1.03  # METIS' own default
NODE_BYTES = 40  # at most: cluster, size and score of a node; indptr of a directed graph's copy
WIDE_NODE_BYTES = 60  # the same beyond 2^31 nodes
MIN_SHRINKAGE = 0.9  # clustering stops if a level keeps more than this share of its nodes


@dataclass(frozen=True)
class ClusterJob:
    """The arguments of one call of `streaming_groups`.

    Attributes:
        num_groups: G.
        balance: groups should have equal numbers of `nodes` or `edges`.
        folder: for scratch files.
        work_bytes: memory to work in, in addition to the numbers kept per node.
    """

    store: GraphStore
    num_groups: int
    balance: str
    seed: int
    folder: Path
    work_bytes: int

    @property
    def max_edges(self) -> int:
        """Edges per piece that is read."""
        return edges_per_batch(self.work_bytes // 8)


def streaming_groups(
    store: GraphStore,
    num_groups: int,
    *,
    seed: int,
    balance: str,
    memory: MemoryBudget,
    folder: Path,
) -> np.ndarray:
    """The group of every node int32|int64 [N], 0 .. G-1, with few edges between groups.

    Refinement adds no node to a group that is 3 % above the mean size, and moves nodes out of such
    groups. The same seed gives the same groups, whatever the memory, unless even the graph of
    clusters does not fit in memory.

    Raises UserError if memory is too small.
    """
    if num_groups == 1:
        return np.zeros(store.num_nodes, index_dtype(store.num_nodes))
    what = f"clustering {store.num_nodes:,} nodes"
    memory.available(min_streaming_bytes(store), what)
    work_bytes = memory.available(_bytes_of_nodes(store), what)
    job = ClusterJob(store, num_groups, balance, seed, folder, work_bytes)
    graph = _undirected(job)
    group_N = _coarsen_and_partition(job, graph)
    groups = _groups_to_refine(job, graph, group_N)
    propagate(graph, groups, REFINING_PASSES, seed, job.max_edges, "refining groups")
    if isinstance(graph, ScratchGraph):
        graph.remove()
    return groups.cluster_N


def min_streaming_bytes(store: GraphStore) -> int:
    """The least memory, in bytes, of `streaming_groups`."""
    return _bytes_of_nodes(store) + EdgeSorter.least_bytes(2 * store.num_edges)


def _bytes_of_nodes(store: GraphStore) -> int:
    """Bytes of the numbers that are kept per node."""
    return (NODE_BYTES if store.num_nodes < 2**31 else WIDE_NODE_BYTES) * store.num_nodes


def streaming_disk_bytes(store: GraphStore) -> int:
    """Bytes of scratch files, at most: sort keys of all edges, and rows of the previous level."""
    edges = store.num_edges * (2 - store.undirected)
    row_bytes = np.dtype(index_dtype(store.num_nodes)).itemsize + 4
    copies = 1 + (not store.undirected)
    return edges * (KEY_BYTES + copies * row_bytes)


def _undirected(job: ClusterJob) -> RowGraph:
    """The store's own rows if it is undirected, otherwise an undirected copy on disk."""
    if job.store.undirected:
        return StoredGraph(job.store)
    no_clusters: np.ndarray = np.zeros(0, index_dtype(job.store.num_nodes))
    folder = job.folder / "both-ways"
    return contract(job.store, no_clusters, job.store.num_nodes, folder, job.work_bytes)


def _coarsen_and_partition(job: ClusterJob, graph: RowGraph) -> np.ndarray:
    """Groups before refinement: cluster and contract until METIS fits, then partition."""
    by_degree = job.balance == "edges"
    num_nodes = graph.num_nodes
    total = graph.num_edges + num_nodes if by_degree else num_nodes
    max_size = max(total // (job.num_groups * CLUSTERS_PER_GROUP), 1)
    cluster_N: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
    num_clusters = num_nodes
    fine, weight_C = graph, np.zeros(0, np.int64)
    level = 0
    while True:
        coarser_C, size_C = _cluster(job, fine, weight_C, by_degree, max_size)
        num_before, num_clusters = num_clusters, len(size_C)
        cluster_N = coarser_C if level == 0 else coarser_C[cluster_N]
        if isinstance(fine, ScratchGraph) and fine is not graph:
            fine.remove()
        level += 1
        folder = job.folder / f"level-{level}"
        coarse = contract(job.store, cluster_N, num_clusters, folder, job.work_bytes)
        fine, weight_C = coarse, size_C
        if metis_bytes(num_clusters, coarse.num_edges) <= job.work_bytes:
            group_C = _partition_with_metis(job, coarse, size_C)
            break
        if num_clusters > MIN_SHRINKAGE * num_before and max_size >= total // job.num_groups:
            group_C = _pack(size_C, job.num_groups)
            break
        max_size = min(2 * max_size, max(total // job.num_groups, 1))
    coarse.remove()
    return group_C.astype(cluster_N.dtype)[cluster_N]


def _cluster(
    job: ClusterJob, graph: RowGraph, weight_C: np.ndarray, by_degree: bool, max_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of the nodes of `graph`, numbered without gaps, and their sizes."""
    num_nodes = graph.num_nodes
    sizes = weight_C.copy() if len(weight_C) else _node_weights(job, graph, by_degree)
    nodes: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
    clusters = Clusters(nodes, sizes, weight_C, by_degree, max_size)
    propagate(graph, clusters, CLUSTERING_PASSES, job.seed, job.max_edges, "clustering")
    merge_small(graph, clusters, job.max_edges)
    cluster_N, _ = compact(clusters.cluster_N, num_nodes)
    return cluster_N, clusters.size_C[clusters.size_C > 0]


def _node_weights(job: ClusterJob, graph: RowGraph, by_degree: bool) -> np.ndarray:
    """The weight of each node of the whole graph, int64 [N]."""
    weight_N = np.ones(graph.num_nodes, np.int64)
    if by_degree:
        for read in graph.pieces(job.max_edges):
            rows = read()
            weight_N[rows.first : rows.first + len(rows.indptr) - 1] += np.diff(rows.indptr)
    return weight_N


def _partition_with_metis(job: ClusterJob, coarse: ScratchGraph, size_C: np.ndarray) -> np.ndarray:
    """The group of each cluster. With at most G clusters, each is a group of its own."""
    if coarse.num_nodes <= job.num_groups:
        return np.arange(coarse.num_nodes)
    with stage(f"METIS on {coarse.num_nodes:,} clusters, {coarse.num_edges:,} edges"):
        rows = coarse.rows(0, coarse.num_nodes)
        csc = CSC(rows.indptr, rows.indices)
        return metis_groups(csc, job.num_groups, job.seed, size_C, rows.weights)


def _pack(size_C: np.ndarray, num_groups: int) -> np.ndarray:
    """Groups of whole clusters: the largest cluster first, each to the smallest group so far."""
    heap = [(0, group) for group in range(num_groups)]
    group_C = np.empty(len(size_C), np.int64)
    for cluster in np.argsort(-size_C, kind="stable").tolist():
        size, group = heapq.heappop(heap)
        group_C[cluster] = group
        heapq.heappush(heap, (size + int(size_C[cluster]), group))
    return group_C


def _groups_to_refine(job: ClusterJob, graph: RowGraph, group_N: np.ndarray) -> Clusters:
    """The groups as clusters with size limits: from half the mean to `IMBALANCE` times the mean."""
    by_degree = job.balance == "edges"
    weight_N = _node_weights(job, graph, by_degree)
    size_G = np.zeros(job.num_groups, np.int64)
    np.add.at(size_G, group_N, weight_N)
    mean = int(size_G.sum()) / job.num_groups
    no_weights = np.zeros(0, np.int64)
    min_size, max_size = int(mean / 2), int(mean * IMBALANCE) + 1
    return Clusters(group_N, size_G, no_weights, by_degree, max_size, min_size)
