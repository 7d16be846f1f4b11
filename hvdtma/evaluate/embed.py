"""Embeddings of all nodes: full neighbours, layer by layer over the training graph.

Each layer is computed for all nodes before the next, so no node's neighbourhood is expanded
twice. Only a range of rows is worked on at a time; what lies between two layers is an array in
memory, or in a scratch file when it is large.

Legend: N nodes, E edges, D features, H hidden.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import torch

from hvdtma.dgl_backend import Block, block_of_rows
from hvdtma.graph.store import GraphStore
from hvdtma.models.encoder import Encoder
from hvdtma.shard.first_hop import FirstHop

EDGES_AT_ONCE = 1 << 20
IN_MEMORY_BYTES = 2 << 30  # a layer larger than this lives in a scratch file

Progress = Callable[[float], None]


@torch.no_grad()
def embed(
    encoder: Encoder,
    store: GraphStore,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """float32 [N, H] embeddings of every node, by the encoder in eval mode.

    Args:
        progress: called with the share that is done, from 0 to 1.
    """
    device = device or torch.device("cpu")
    was_training = encoder.training
    encoder.eval()
    indptr_N1 = store.read("indptr")
    layers = len(encoder.layers)
    h: np.ndarray | None = None
    for number in range(layers):
        step: FirstHop | Block | None
        out = _scratch(store.num_nodes, encoder.out_dim)
        for start, stop in row_ranges(indptr_N1):
            if number == 0 and encoder.first_hop:
                step, rows = _first_hop(store, indptr_N1, start, stop)
            else:
                step, rows = _all_neighbours(encoder, store, h, start, stop)
            step = step if step is None else step.to(device)
            out[start:stop] = encoder.layer(number, step, rows.to(device)).float().cpu().numpy()
            if progress:
                progress((number + stop / store.num_nodes) / layers)
        h = out
    encoder.train(was_training)
    assert h is not None  # an encoder has a layer
    return h


def row_ranges(indptr_N1: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of rows with at most about EDGES_AT_ONCE edges and rows together."""
    work_N1 = indptr_N1 + np.arange(len(indptr_N1))
    start, num_nodes = 0, len(indptr_N1) - 1
    while start < num_nodes:
        stop = int(np.searchsorted(work_N1, work_N1[start] + EDGES_AT_ONCE, side="right")) - 1
        stop = min(max(stop, start + 1), num_nodes)
        yield start, stop
        start = stop


def _first_hop(
    store: GraphStore, indptr_N1: np.ndarray, start: int, stop: int
) -> tuple[FirstHop, torch.Tensor]:
    degree = np.diff(indptr_N1[start : stop + 1]).astype(np.float32)
    mean = torch.from_numpy(store.read("first_hop", start, stop))
    return FirstHop(mean, torch.from_numpy(degree)), _features(store, start, stop)


def _all_neighbours(
    encoder: Encoder, store: GraphStore, h: np.ndarray | None, start: int, stop: int
) -> tuple[Block | None, torch.Tensor]:
    """(block, input rows) of a range; without neighbours, (None, the range's own rows)."""
    if not encoder.needs_neighbours:
        own = _features(store, start, stop) if h is None else torch.from_numpy(h[start:stop])
        return None, own
    rows = store.rows(start, stop)
    block, sources = block_of_rows(
        torch.from_numpy(rows.indptr), torch.from_numpy(rows.indices.astype(np.int64)), start
    )
    if h is None:
        return block, _gather_features(store, sources.numpy())
    return block, torch.from_numpy(np.ascontiguousarray(h[sources.numpy()]))


def _features(store: GraphStore, start: int, stop: int) -> torch.Tensor:
    return torch.from_numpy(store.read("feat", start, stop)).float()


def _gather_features(store: GraphStore, nodes: np.ndarray) -> torch.Tensor:
    """Features of scattered nodes, float32, by whole chunks in order."""
    out = np.empty((len(nodes), store.feature_dim), np.float32)
    order = np.argsort(nodes, kind="stable")
    ascending = nodes[order]
    chunk_rows = store.array("feat").chunks[0]
    for start in range(0, store.num_nodes, chunk_rows):
        first, last = np.searchsorted(ascending, [start, start + chunk_rows])
        if last > first:
            chunk = store.read("feat", start, min(start + chunk_rows, store.num_nodes))
            out[order[first:last]] = chunk[ascending[first:last] - start]
    return torch.from_numpy(out)


def _scratch(num_nodes: int, dim: int) -> np.ndarray:
    """Zeros float32 [N, dim]; in an unnamed file that goes away by itself when large."""
    if num_nodes * dim * 4 <= IN_MEMORY_BYTES:
        return np.zeros((num_nodes, dim), np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, mode="w+", shape=(num_nodes, dim))
