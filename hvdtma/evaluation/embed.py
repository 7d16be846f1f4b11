"""Embeddings of all nodes, computed from all their training neighbours.

A `LayeredEncoder` is applied layer by layer: each layer is computed for all nodes before the next
layer, so no neighbourhood is expanded twice. A step computes a range of rows. The rows between two
layers are an array in memory, or a scratch file if they do not fit in memory. Other encoders are
applied to the whole neighbourhoods of some nodes at a time, which takes longer.

Legend: N nodes, E edges, D features, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from hvdtma.core.errors import UserError
from hvdtma.evaluation.budget import (
    EDGES_AT_ONCE,
    NO_LIMIT,
    ROWS_AT_ONCE,
    ScoringBudget,
    reserved_for_means,
    split_rows_and_work,
)
from hvdtma.evaluation.sampled import NeighbourhoodTooLarge, embed_sampled
from hvdtma.evaluation.typed_embed import typed_layer_rows
from hvdtma.graph.neighbour_means import neighbour_means
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import Rows, StoredRows, gather
from hvdtma.graph.stream import row_ranges
from hvdtma.models import LayeredEncoder, TypedLayeredEncoder
from hvdtma.sampling.block import Block, block_of_rows
from hvdtma.sampling.first_hop import FirstHop
from hvdtma.storage.row_file import RowFile
from hvdtma.tasks import Model

Progress = Callable[[float], None]


@torch.no_grad()
def embed(
    model: Model,
    store: GraphStore,
    *,
    device: torch.device | None = None,
    progress: Progress | None = None,
    budget: ScoringBudget = NO_LIMIT,
) -> Rows:
    """Embed every node with the model's encoder in eval mode: float32 [N, H].

    Args:
        progress: called with the share of the work that is done, from 0 to 1.
        budget: if two layers do not fit in half of its memory, they are scratch files.

    Raises UserError if the neighbourhood of a single node does not fit in memory.
    """
    device, encoder = device or torch.device("cpu"), model.encoder
    was_training = encoder.training
    encoder.eval()
    way = _by_nodes
    if isinstance(encoder, LayeredEncoder):
        way = _by_layer
    elif isinstance(encoder, TypedLayeredEncoder):
        way = _by_typed_layer
    rows = way(model, store, device, progress, budget)
    encoder.train(was_training)
    return rows


def _new_rows(
    store: GraphStore, dim: int, budget: ScoringBudget
) -> tuple[np.ndarray | RowFile, ScoringBudget]:
    """An array or scratch file [N, dim] to write to, and the remaining budget."""
    in_memory, work_bytes = split_rows_and_work(store.num_nodes, dim, budget)
    remaining = ScoringBudget(work_bytes, budget.folder)
    if in_memory:
        return np.zeros((store.num_nodes, dim), np.float32), remaining
    return RowFile(store.num_nodes, dim, budget.folder), remaining


def _by_layer(
    model: Model,
    store: GraphStore,
    device: torch.device,
    progress: Progress | None,
    budget: ScoringBudget,
) -> Rows:
    encoder = model.encoder
    indptr_N1 = store.read("indptr")
    layers = len(encoder.layers)
    h: Rows = StoredRows(store, "feat")
    for number in range(layers):
        out, work = _new_rows(store, encoder.out_dim, budget)
        for start, stop, neighbours, x in _layer_inputs(model, number, store, indptr_N1, h, work):
            neighbours = neighbours if neighbours is None else neighbours.to(device)
            rows = encoder.layer(number, neighbours, torch.from_numpy(x).float().to(device))
            out[start:stop] = rows.float().cpu().numpy()
            if progress:
                progress((number + stop / store.num_nodes) / layers)
        h = out
    return h


def _by_typed_layer(
    model: Model,
    store: GraphStore,
    device: torch.device,
    progress: Progress | None,
    budget: ScoringBudget,
) -> Rows:
    layers, h = len(model.encoder.layers), None
    for number in range(layers):
        out, _ = _new_rows(store, model.encoder.out_dim, budget)
        for start, stop, rows in typed_layer_rows(model, number, store, h, device):
            out[start:stop] = rows
            if progress:
                progress((number + stop / store.num_nodes) / layers)
        h = out
    assert h is not None
    return h


def _by_nodes(
    model: Model,
    store: GraphStore,
    device: torch.device,
    progress: Progress | None,
    budget: ScoringBudget,
) -> Rows:
    """Embed from whole neighbourhoods, as many nodes at a time as fit in memory."""
    out, work = _new_rows(store, model.encoder.out_dim, budget)
    start, step = 0, ROWS_AT_ONCE
    while start < store.num_nodes:
        nodes = np.arange(start, min(start + step, store.num_nodes))
        try:
            out[start : start + len(nodes)] = embed_sampled(
                model,
                store,
                nodes,
                [-1] * model.num_blocks,
                seed=0,
                device=device,
                limit_bytes=work.num_bytes,
            )
        except NeighbourhoodTooLarge as error:
            if len(nodes) == 1:
                raise UserError(
                    f"the neighbourhood of one node takes {error.needed_bytes / 2**30:.2f} GiB, "
                    "more than memory_gb leaves for it; increase memory_gb"
                ) from None
            step = len(nodes) // 2
            continue
        start += len(nodes)
        if progress:
            progress(start / store.num_nodes)
    return out


LayerInput = tuple[int, int, FirstHop | Block | None, np.ndarray]


def _layer_inputs(
    model: Model,
    number: int,
    store: GraphStore,
    indptr_N1: np.ndarray,
    h: Rows,
    work: ScoringBudget,
) -> Iterator[LayerInput]:
    """Start, stop, neighbours and input rows for consecutive ranges of all nodes."""
    encoder = model.encoder
    if number == 0 and model.first_hop:
        for start, stop in _ranges(store.num_nodes):
            mean_nD = store.read("first_hop", start, stop).astype(np.float32, copy=False)
            yield start, stop, _hop(store, mean_nD, indptr_N1, start, stop), h[start:stop]
    elif encoder.first_layer == "none":
        for start, stop in _ranges(store.num_nodes):
            yield start, stop, None, h[start:stop]
    elif encoder.first_layer == "mean":
        indices = StoredRows(store, "indices")
        offset = 0
        width, itemsize = h.shape[1], np.dtype(h.dtype).itemsize
        reserved = reserved_for_means(store.num_nodes, width, itemsize, encoder.out_dim)
        means = neighbour_means(
            indptr_N1,
            indices,
            h,
            memory_bytes=work.num_bytes - reserved,
            weights=StoredRows(store, "weight") if store.weighted else None,
            folder=work.folder,
        )
        for mean_nD in means:
            for first, last in _ranges(len(mean_nD)):
                start, stop = offset + first, offset + last
                hop = _hop(store, mean_nD[first:last], indptr_N1, start, stop)
                yield start, stop, hop, h[start:stop]
            offset += len(mean_nD)
    else:
        work_N1 = indptr_N1 + np.arange(len(indptr_N1))  # each row costs its edges and itself
        for start, stop in row_ranges(work_N1, EDGES_AT_ONCE):
            rows = store.rows(start, stop)
            block, sources = block_of_rows(
                torch.from_numpy(rows.indptr),
                torch.from_numpy(rows.indices.astype(np.int64)),
                start,
                None if rows.weight is None else torch.from_numpy(rows.weight),
            )
            yield start, stop, block, gather(h, sources.numpy())


def _hop(
    store: GraphStore, mean_nD: np.ndarray, indptr_N1: np.ndarray, start: int, stop: int
) -> FirstHop:
    """Means, degrees and weights of the rows start:stop."""
    degree = np.diff(indptr_N1[start : stop + 1]).astype(np.float32)
    weight = torch.from_numpy(store.read("in_weight", start, stop)) if store.weighted else None
    return FirstHop(torch.from_numpy(mean_nD), torch.from_numpy(degree), weight)


def _ranges(num_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_rows, ROWS_AT_ONCE):
        yield start, min(start + ROWS_AT_ONCE, num_rows)
