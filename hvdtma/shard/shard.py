"""The shard: the subgraph that a trainer's blocks induce, with local node numbers.

Legend: n nodes of the shard, N nodes of the store, e edges of the shard, D features, B blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numba import njit

from hvdtma.dgl_backend import graph_from_csc
from hvdtma.graph.array_writer import CHUNK_BYTES
from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.graph.store import GraphStore
from hvdtma.shard.first_hop import FirstHop


@dataclass
class Shard:
    """What one trainer may see, in memory.

    Attributes:
        nodes: int64 [n] the store's number of each local node, ascending within a block.
        csc: in-edges between them, locally numbered.
        feat: torch float16 or float32 [n, D].
        hop: the first hop over the whole training graph, or None.
        num_own: local nodes below this are the trainer's own; those after it are other trainers'
            nodes, without edges, that only serve as global negatives.
        label: int64 [n], -1 where unknown, or None.
        train_nodes: int64 local numbers of the labelled training nodes.
    """

    nodes: np.ndarray
    csc: CSC
    feat: torch.Tensor
    hop: FirstHop | None
    num_own: int
    label: torch.Tensor | None
    train_nodes: np.ndarray

    @property
    def num_nodes(self) -> int:
        return len(self.nodes)

    @cached_property
    def graph(self) -> Any:
        """The shard as a DGL graph, sharing the memory of its sources where dtypes allow."""
        dtype = index_dtype(max(self.num_nodes, self.csc.num_edges))  # one for both, DGL wants
        return graph_from_csc(
            torch.from_numpy(self.csc.indptr.astype(dtype)),
            torch.from_numpy(self.csc.indices.astype(dtype, copy=False)),
        )

    def features(self, nodes: torch.Tensor) -> torch.Tensor:
        """float32 [Q, D] of local nodes."""
        return self.feat[nodes].float()

    def first_hop(self, nodes: torch.Tensor) -> FirstHop | None:
        """The first hop of local nodes, or None."""
        if self.hop is None:
            return None
        return FirstHop(self.hop.mean[nodes], self.hop.degree[nodes])


def load_shard(
    store: GraphStore,
    blocks: np.ndarray,
    *,
    first_hop: bool = False,
    foreign: bool = False,
) -> Shard:
    """Read the shard of `blocks` (int64, ascending), whole ranges in id order.

    Args:
        first_hop: read the stored first hop too.
        foreign: read the features of all other nodes as well, for global negatives.
    """
    own = _ranges(store, blocks)
    others = _ranges(store, np.setdiff1d(np.arange(store.num_blocks), blocks)) if foreign else []
    nodes_own, nodes_others = _nodes(own), _nodes(others)
    csc, degree = _induced_graph(store, blocks, own)
    if foreign:
        csc.indptr = np.append(csc.indptr, np.full(len(nodes_others), csc.num_edges))
        degree = np.append(degree, np.diff(store.read("indptr"))[nodes_others])

    def rows(name: str) -> torch.Tensor:
        return torch.from_numpy(
            np.concatenate([_read_rows(store, name, own), _read_rows(store, name, others)])
        )

    train = store.labelled_nodes("train")
    return Shard(
        nodes=np.concatenate([nodes_own, nodes_others]),
        csc=csc,
        feat=rows("feat"),
        hop=FirstHop(rows("first_hop"), torch.from_numpy(degree).float()) if first_hop else None,
        num_own=len(nodes_own),
        label=rows("label") if "label" in store else None,
        train_nodes=np.flatnonzero(np.isin(nodes_own, [] if train is None else train)),
    )


Range = tuple[int, int]  # first node, and one past the last


def _ranges(store: GraphStore, blocks: np.ndarray) -> list[Range]:
    offsets = store.block_offsets.tolist()
    return [(offsets[block], offsets[block + 1]) for block in blocks]


def _nodes(ranges: list[Range]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(*piece) for piece in ranges)])


def _windows(ranges: list[Range], row_bytes: float) -> Iterator[list[Range]]:
    """Neighbouring ranges that one read serves: together they span about a chunk."""
    most = max(CHUNK_BYTES / max(row_bytes, 1), 1)
    window: list[Range] = []
    for piece in ranges:
        if window and piece[1] - window[0][0] > most:
            yield window
            window = []
        window.append(piece)
    if window:
        yield window


def _read_rows(store: GraphStore, name: str, ranges: list[Range]) -> np.ndarray:
    """The rows of ascending ranges end to end, each chunk read once."""
    array = store.array(name)
    row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    out = np.empty((sum(b - a for a, b in ranges), *array.shape[1:]), array.dtype)
    filled = 0
    for window in _windows(ranges, row_bytes):
        base = window[0][0]
        rows = store.read(name, base, window[-1][1])
        for start, stop in window:
            out[filled : filled + stop - start] = rows[start - base : stop - base]
            filled += stop - start
    return out


def _induced_graph(
    store: GraphStore, blocks: np.ndarray, own: list[Range]
) -> tuple[CSC, np.ndarray]:
    """(edges between own nodes in local numbers, in-degree in the whole graph [n])."""
    sizes = np.diff(store.block_offsets)[blocks]
    local_B = np.full(store.num_blocks, -1, np.int64)  # where each of my blocks begins locally
    local_B[blocks] = np.cumsum(sizes) - sizes
    dtype = index_dtype(int(sizes.sum()))
    degrees: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    sources: list[np.ndarray] = []
    types: list[np.ndarray] = []
    edge_bytes = 8 * store.num_edges / max(store.num_nodes, 1)
    for window in _windows(own, edge_bytes):
        base = window[0][0]
        rows = store.rows(base, window[-1][1])
        for start, stop in window:
            indptr = rows.indptr[start - base : stop - base + 1]
            count, local, edge = _keep_own(indptr, rows.indices, store.block_offsets, local_B)
            degrees.append(np.diff(indptr))
            counts.append(count)
            sources.append(local.astype(dtype))
            if rows.edge_type is not None:
                types.append(rows.edge_type[edge])
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    edge_type = np.concatenate(types) if types else None
    return CSC(indptr, np.concatenate(sources), edge_type), np.concatenate(degrees)


@njit(cache=True)
def _keep_own(
    indptr: np.ndarray, indices: np.ndarray, offsets_B1: np.ndarray, local_B: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the rows in `indptr`, the edges that come from own blocks.

    Returns how many each row keeps, their sources' local numbers, and their places in `indices`.
    Blocks keep their order, so local numbers ascend within a row as global ones do.
    """
    count = np.zeros(len(indptr) - 1, np.int64)
    local = np.empty(indptr[-1] - indptr[0], np.int64)
    place = np.empty(indptr[-1] - indptr[0], np.int64)
    kept = 0
    for row in range(len(count)):
        block = 0
        for edge in range(indptr[row], indptr[row + 1]):
            source = indices[edge]
            if source >= offsets_B1[block + 1]:
                block = np.searchsorted(offsets_B1, source, side="right") - 1
            if local_B[block] >= 0:
                local[kept] = local_B[block] + source - offsets_B1[block]
                place[kept] = edge
                kept += 1
                count[row] += 1
    return count, local[:kept].copy(), place[:kept].copy()
