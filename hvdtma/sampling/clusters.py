"""Clusters of a shard's nodes with many links inside, for `ClusterSampler`.

Legend: n nodes of the shard, C clusters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import CSC
from hvdtma.partitioning.label_propagation import label_clusters
from hvdtma.partitioning.metis import metis_groups, symmetric

INSIDE_LEAST = 0.2  # the share of links inside runs of consecutive nodes that makes them clusters
PASSES = 5
CLUSTERING_BYTES = 48  # per node: labels, sizes and scores of clusters, and the order


class NodeClusters(NamedTuple):
    """Clusters of nodes.

    Attributes:
        node: int64 [n], the nodes by cluster.
        start: int64 [C + 1]; cluster c has the nodes node[start[c] : start[c + 1]].
    """

    node: np.ndarray
    start: np.ndarray


def find_clusters(csc: CSC, num_nodes: int, size: int, method: str, seed: int) -> NodeClusters:
    """Clusters of about `size` of the first `num_nodes` nodes of a graph.

    Args:
        method: `order`: runs of consecutive nodes, which are super-nodes or communities in a store
            that is partitioned by them; `labels`: label propagation; `metis`: METIS parts, which
            take a hundred times as long; `auto`: the order if it keeps at least a fifth of the
            links inside, else `labels`.
    """
    num_clusters = max(num_nodes // size, 1)
    start = np.linspace(0, num_nodes, num_clusters + 1).astype(np.int64)
    by_order = NodeClusters(np.arange(num_nodes), start)
    if num_clusters < 2 or method == "order":
        return by_order
    if method == "auto" and share_inside(csc.indptr, csc.indices, start) >= INSIDE_LEAST:
        return by_order
    own = CSC(csc.indptr[: num_nodes + 1], csc.indices)
    if method == "metis":
        part_n = metis_groups(symmetric(own), num_clusters, seed)
    else:
        part_n = label_clusters(own, size, PASSES, seed)
    count = np.bincount(part_n)
    start = np.concatenate([[0], np.cumsum(count[count > 0])])
    return NodeClusters(np.argsort(part_n, kind="stable"), start)


@njit(nogil=True)
def share_inside(indptr: np.ndarray, indices: np.ndarray, start: np.ndarray) -> float:
    """The share of edges whose ends are in the same run of consecutive nodes."""
    inside = edges = 0
    for run in range(len(start) - 1):
        for edge in range(indptr[start[run]], indptr[start[run + 1]]):
            inside += start[run] <= indices[edge] < start[run + 1]
            edges += 1
    return inside / max(edges, 1)
