"""Clusters as the nodes of a smaller graph, and a directed graph with its edges both ways.

Either is made as a store's CSC is: edges are scattered to buckets and sorted; here equal ones are
counted, and the rows stay in two plain files that are read from front to back.

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
    """A graph with every edge both ways, of which all rows can be gone through, again and again."""

    @property
    def num_nodes(self) -> int: ...

    @property
    def num_edges(self) -> int: ...

    def pieces(self, most_edges: int) -> Iterator[Callable[[], NeighbourRows]]:
        """All rows in order; functions that each read some, to be called in any thread."""
        ...


@dataclass(frozen=True)
class StoredGraph:
    """An undirected store; every edge weighs 1."""

    store: GraphStore

    @property
    def num_nodes(self) -> int:
        return self.store.num_nodes

    @property
    def num_edges(self) -> int:
        return self.store.num_edges

    def pieces(self, most_edges: int) -> Iterator[Callable[[], NeighbourRows]]:
        return row_pieces(self.store, most_edges)


@dataclass(frozen=True)
class ScratchGraph:
    """A weighted graph in files.

    Attributes:
        indptr: int64 [C+1], in memory.
        folder: of `indices` int32|int64 [E] and `weights` int32 [E].
    """

    indptr: np.ndarray
    folder: Path

    @property
    def num_nodes(self) -> int:
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        return int(self.indptr[-1])

    def pieces(self, most_edges: int) -> Iterator[Callable[[], NeighbourRows]]:
        for low, high in row_ranges(self.indptr, most_edges):
            yield partial(self.rows, low, high)

    def rows(self, low: int, high: int) -> NeighbourRows:
        """The rows of nodes low:high."""
        indptr = self.indptr[low : high + 1]
        first, count = int(indptr[0]), int(indptr[-1] - indptr[0])
        kind = np.dtype(index_dtype(self.num_nodes))
        return NeighbourRows(
            low,
            indptr - first,
            np.fromfile(self.folder / "indices", kind, count, offset=first * kind.itemsize),
            np.fromfile(self.folder / "weights", np.int32, count, offset=4 * first),
        )

    def remove(self) -> None:
        """Give its disk back."""
        for name in ("indices", "weights"):
            (self.folder / name).unlink()


def contracted(
    store: GraphStore, cluster_N: np.ndarray, num_clusters: int, folder: Path, room: int
) -> ScratchGraph:
    """The graph of clusters: an edge is as heavy as there are edges between two.

    Args:
        cluster_N: int32|int64 [N], 0 .. C-1; empty where every node is a cluster of its own.
        folder: of its own, where the graph is to be.
        room: bytes to work in.

    Edges of a directed store count in both directions.
    """
    sorter = EdgeSorter(
        num_clusters,
        store.num_edges * (2 - store.undirected),
        folder / "keys",
        room,
        mirror=not store.undirected,
        keep_repeats=True,
    )
    with progress("scattering edges between clusters", store.num_edges, "edges") as advance:
        sorter.scatter(_between(store, cluster_N, edges_per_batch(room // 8)), advance=advance)
    folder.mkdir(parents=True, exist_ok=True)
    indptr, num_edges = np.zeros(num_clusters + 1, np.int64), 0
    with (
        progress("sorting them", int(sorter.buckets.counts.sum()), "edges") as advance,
        (folder / "indices").open("wb") as indices,
        (folder / "weights").open("wb") as weights,
    ):
        for first, rows in sorter.rows():
            degree, sources, weight = _counted(rows.degree, rows.indices)
            indptr[first + 1 : first + 1 + len(degree)] = num_edges + np.cumsum(degree)
            num_edges += len(sources)
            indices.write(sources.view(np.uint8).data)
            weights.write(weight.view(np.uint8).data)
            advance(len(rows.indices))
    return ScratchGraph(indptr, folder)


def _between(
    store: GraphStore, cluster_N: np.ndarray, most_edges: int
) -> Iterator[Callable[[], EdgeBatch]]:
    def read(make: Callable[[], EdgeBatch]) -> EdgeBatch:
        src, dst, _ = make()
        return (cluster_N[src], cluster_N[dst], None) if len(cluster_N) else (src, dst, None)

    for make in edge_batches(store, most_edges):
        yield partial(read, make)


@njit(nogil=True)
def _counted(
    degree_n: np.ndarray, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows with repeats, ascending, as rows without: degrees, sources, how often each stood."""
    degree = np.zeros(len(degree_n), np.int64)
    sources, weight = np.empty_like(indices), np.empty(len(indices), np.int32)
    at = kept = 0
    for row in range(len(degree_n)):
        for place in range(at, at + degree_n[row]):
            if place > at and indices[place] == indices[place - 1]:
                weight[kept - 1] += 1
                continue
            sources[kept], weight[kept] = indices[place], 1
            degree[row] += 1
            kept += 1
        at += degree_n[row]
    return degree, sources[:kept].copy(), weight[:kept].copy()
