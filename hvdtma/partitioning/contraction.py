"""Contracts a graph: clusters become the nodes of a smaller, weighted graph on disk.

Edges are sorted with the same external sort as a store's edges. Repeated edges are merged, and
their number becomes the weight. The rows are two plain files, read from front to back. With every
node as its own cluster, this also makes an undirected graph from a directed one.

Legend: N nodes of the store, C clusters, E edges of the contracted graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.core.console import progress
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.batches import EdgeBatch
from hvdtma.graph.sort.edge_sorter import EdgeSorter
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import (
    NeighbourRows,
    edge_batches,
    edges_per_batch,
    row_pieces,
    row_ranges,
)


class RowGraph(Protocol):
    """A graph with each edge in both directions, whose rows can be iterated repeatedly."""

    @property
    def num_nodes(self) -> int: ...

    @property
    def num_edges(self) -> int: ...

    def pieces(self, max_edges: int) -> Iterator[Callable[[], NeighbourRows]]:
        """Functions that each read some rows, in order. They may be called in any thread."""
        ...


@dataclass(frozen=True)
class StoredGraph:
    """The rows of an undirected store. Each edge has weight 1."""

    store: GraphStore

    @property
    def num_nodes(self) -> int:
        return self.store.num_nodes

    @property
    def num_edges(self) -> int:
        return self.store.num_edges

    def pieces(self, max_edges: int) -> Iterator[Callable[[], NeighbourRows]]:
        return row_pieces(self.store, max_edges)


@dataclass(frozen=True)
class ScratchGraph:
    """A weighted graph on disk.

    Attributes:
        indptr: int64 [C+1], in memory.
        folder: contains the files `indices` (int32|int64 [E]) and `weights` (int32 [E]).
    """

    indptr: np.ndarray
    folder: Path

    @property
    def num_nodes(self) -> int:
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        return int(self.indptr[-1])

    def pieces(self, max_edges: int) -> Iterator[Callable[[], NeighbourRows]]:
        for low, high in row_ranges(self.indptr, max_edges):
            yield partial(self.rows, low, high)

    def rows(self, low: int, high: int) -> NeighbourRows:
        """The rows of nodes low:high."""
        indptr = self.indptr[low : high + 1]
        first, count = int(indptr[0]), int(indptr[-1] - indptr[0])
        dtype = np.dtype(index_dtype(self.num_nodes))
        return NeighbourRows(
            low,
            indptr - first,
            np.fromfile(self.folder / "indices", dtype, count, offset=first * dtype.itemsize),
            np.fromfile(self.folder / "weights", np.int32, count, offset=4 * first),
        )

    def remove(self) -> None:
        """Delete the files."""
        for name in ("indices", "weights"):
            (self.folder / name).unlink()


def contract(
    store: GraphStore, cluster_N: np.ndarray, num_clusters: int, folder: Path, work_bytes: int
) -> ScratchGraph:
    """The graph of clusters. The weight of an edge is the number of edges between two clusters.

    Edges of a directed store count in both directions.

    Args:
        cluster_N: int32|int64 [N], 0 .. C-1; empty if every node is its own cluster.
        folder: a new folder for the graph's files.
        work_bytes: memory to work in.
    """
    sorter = EdgeSorter(
        num_clusters,
        store.num_edges * (2 - store.undirected),
        folder / "keys",
        work_bytes,
        mirror=not store.undirected,
        keep_repeats=True,
    )
    with progress("scattering edges between clusters", store.num_edges, "edges") as advance:
        sorter.scatter(
            _edges_between_clusters(store, cluster_N, edges_per_batch(work_bytes // 8)),
            advance=advance,
        )
    folder.mkdir(parents=True, exist_ok=True)
    indptr, num_edges = np.zeros(num_clusters + 1, np.int64), 0
    with (
        progress(
            "sorting edges between clusters", int(sorter.buckets.counts.sum()), "edges"
        ) as advance,
        (folder / "indices").open("wb") as indices,
        (folder / "weights").open("wb") as weights,
    ):
        for first, rows in sorter.rows():
            degree, sources, weight = _merge_repeats(rows.degree, rows.indices)
            indptr[first + 1 : first + 1 + len(degree)] = num_edges + np.cumsum(degree)
            num_edges += len(sources)
            indices.write(sources.view(np.uint8).data)
            weights.write(weight.view(np.uint8).data)
            advance(len(rows.indices))
    return ScratchGraph(indptr, folder)


def _edges_between_clusters(
    store: GraphStore, cluster_N: np.ndarray, max_edges: int
) -> Iterator[Callable[[], EdgeBatch]]:
    def read(read_edges: Callable[[], EdgeBatch]) -> EdgeBatch:
        edges = read_edges()
        ends = edges.src, edges.dst
        return EdgeBatch(*(cluster_N[end] for end in ends) if len(cluster_N) else ends)

    for read_edges in edge_batches(store, max_edges):
        yield partial(read, read_edges)


@njit(nogil=True)
def _merge_repeats(
    degree_n: np.ndarray, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge equal sources of each ascending row: new degrees, sources, and number of repeats."""
    degree = np.zeros(len(degree_n), np.int64)
    sources, weight = np.empty_like(indices), np.empty(len(indices), np.int32)
    start = kept = 0
    for row in range(len(degree_n)):
        for edge in range(start, start + degree_n[row]):
            if edge > start and indices[edge] == indices[edge - 1]:
                weight[kept - 1] += 1
                continue
            sources[kept], weight[kept] = indices[edge], 1
            degree[row] += 1
            kept += 1
        start += degree_n[row]
    return degree, sources[:kept].copy(), weight[:kept].copy()
