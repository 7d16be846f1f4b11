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
LARGEST = 2  # times the size asked for; METIS balances parts, but not always that well
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
    """Clusters of about `size`, at most `LARGEST` * `size`, of a graph's first `num_nodes` nodes.

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
    return NodeClusters(
        np.argsort(part_n, kind="stable"), _starts(count[count > 0], size, LARGEST * size)
    )


def _starts(count_C: np.ndarray, size: int, largest: int) -> np.ndarray:
    """The first positions of clusters, and the end; those above `largest` are cut near `size`."""
    pieces_C = np.where(count_C > largest, -(-count_C // size), 1)
    first_C = np.repeat(np.cumsum(count_C) - count_C, pieces_C)
    number = np.arange(len(first_C)) - np.repeat(np.cumsum(pieces_C) - pieces_C, pieces_C)
    start = first_C + number * np.repeat(count_C, pieces_C) // np.repeat(pieces_C, pieces_C)
    return np.append(start, count_C.sum())


@njit(nogil=True)
def share_inside(indptr: np.ndarray, indices: np.ndarray, start: np.ndarray) -> float:
    """The share of edges whose ends are in the same run of consecutive nodes."""
    inside = edges = 0
    for run in range(len(start) - 1):
        for edge in range(indptr[start[run]], indptr[start[run + 1]]):
            inside += start[run] <= indices[edge] < start[run + 1]
            edges += 1
    return inside / max(edges, 1)
