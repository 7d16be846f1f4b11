"""Embeddings of all nodes: full neighbours, layer by layer over the training graph.

Each layer is computed for all nodes before the next, so no node's neighbourhood is expanded
twice. Only a range of rows is worked on at a time; what lies between two layers is an array in
memory, or a scratch file where memory does not hold it.

Legend: N nodes, E edges, D features, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from hvdtma.evaluation.budget import (
    EDGES_AT_ONCE,
    NO_LIMIT,
    ROWS_AT_ONCE,
    ScoringBudget,
    beside_means,
    layers_within,
)
from hvdtma.evaluation.rows import RowFile, Rows, StoredRows, gather
from hvdtma.graph.neighbour_means import neighbour_means
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import row_ranges
from hvdtma.models.encoder import Encoder
from hvdtma.sampling.dgl_backend import Block, block_of_rows
from hvdtma.sampling.first_hop import FirstHop

Progress = Callable[[float], None]


@torch.no_grad()
def embed(
    encoder: Encoder,
    store: GraphStore,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
    room: ScoringBudget = NO_LIMIT,
) -> Rows:
    """float32 [N, H] embeddings of every node, by the encoder in eval mode.

    Args:
        progress: called with the share that is done, from 0 to 1.
        room: where two layers do not fit in half of it, they are files.
    """
    device = device or torch.device("cpu")
    was_training = encoder.training
    encoder.eval()
    indptr_N1 = store.read("indptr")
    layers = len(encoder.layers)
    in_memory, work_bytes = layers_within(store.num_nodes, encoder.out_dim, room)
    work = ScoringBudget(work_bytes, room.folder)
    h: Rows = StoredRows(store, "feat")
    for number in range(layers):
        out: Rows
        if in_memory:
            out = np.zeros((store.num_nodes, encoder.out_dim), np.float32)
        else:
            out = RowFile(store.num_nodes, encoder.out_dim, room.folder)
        for start, stop, step, own in _steps(encoder, number, store, indptr_N1, h, work):
            step = step if step is None else step.to(device)
            made = encoder.layer(number, step, torch.from_numpy(own).float().to(device))
            out[start:stop] = made.float().cpu().numpy()
            if progress:
                progress((number + stop / store.num_nodes) / layers)
        h = out
    encoder.train(was_training)
    return h


Step = tuple[int, int, FirstHop | Block | None, np.ndarray]


def _steps(
    encoder: Encoder,
    number: int,
    store: GraphStore,
    indptr_N1: np.ndarray,
    h: Rows,
    work: ScoringBudget,
) -> Iterator[Step]:
    """(start, stop, what the layer reads of their neighbours, input rows) of all nodes in order."""
    if number == 0 and encoder.first_hop:
        for start, stop in _ranges(store.num_nodes):
            mean_nD = store.read("first_hop", start, stop).astype(np.float32, copy=False)
            yield start, stop, _hop(mean_nD, indptr_N1[start : stop + 1]), h[start:stop]
    elif not encoder.needs_neighbours:
        for start, stop in _ranges(store.num_nodes):
            yield start, stop, None, h[start:stop]
    elif encoder.takes_means:
        indices = StoredRows(store, "indices")
        first = 0
        width, itemsize = h.shape[1], np.dtype(h.dtype).itemsize
        beside = beside_means(store.num_nodes, width, itemsize, encoder.out_dim)
        means = neighbour_means(
            indptr_N1, indices, h, memory_bytes=work.num_bytes - beside, folder=work.folder
        )
        for mean_nD in means:
            for start, stop in _ranges(len(mean_nD)):
                here = slice(first + start, first + stop + 1)
                hop = _hop(mean_nD[start:stop], indptr_N1[here])
                yield first + start, first + stop, hop, h[first + start : first + stop]
            first += len(mean_nD)
    else:
        work_N1 = indptr_N1 + np.arange(len(indptr_N1))  # of edges and of rows
        for start, stop in row_ranges(work_N1, EDGES_AT_ONCE):
            rows = store.rows(start, stop)
            block, sources = block_of_rows(
                torch.from_numpy(rows.indptr),
                torch.from_numpy(rows.indices.astype(np.int64)),
                start,
            )
            yield start, stop, block, gather(h, sources.numpy())


def _hop(mean_nD: np.ndarray, indptr_n1: np.ndarray) -> FirstHop:
    degree = np.diff(indptr_n1).astype(np.float32)
    return FirstHop(torch.from_numpy(mean_nD), torch.from_numpy(degree))


def _ranges(num_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_rows, ROWS_AT_ONCE):
        yield start, min(start + ROWS_AT_ONCE, num_rows)
