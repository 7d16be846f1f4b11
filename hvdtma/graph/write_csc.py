"""Write sorted edges as the CSC of a store, bucket by bucket.

Legend: N nodes, E edges.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.edge_sorter import EdgeSorter, HeldOut
from hvdtma.graph.sort.keys import SortedRows
from hvdtma.storage.array_writer import EDGE_CHUNK_BYTES, INDPTR_CHUNK_BYTES, ArrayWriter
from hvdtma.storage.writer import StoreWriter


def write_csc(
    writer: StoreWriter,
    sorter: EdgeSorter,
    advance: Callable[[int], None],
    held_out: HeldOut | None = None,
    on_rows: Callable[[int, SortedRows], object] = lambda *_: None,
) -> int:
    """Write the edges; return their number E.

    The arrays are `indptr` and `indices`, for typed edges `edge_type`, and for weighted edges
    `weight` and `in_weight`, the sum of the weights of each node's in-edges.

    Args:
        advance: called with the number of edges of each completed bucket.
        held_out: the pairs to remove.
        on_rows: called with each bucket's first node and its rows.
    """
    num_nodes, max_edges = sorter.num_nodes, int(sorter.buckets.counts.sum())
    num_edges = 0
    with ExitStack() as stack:

        def create(name: str, dtype: type, rows: int, chunk_bytes: int) -> ArrayWriter:
            return stack.enter_context(
                writer.create_array(name, dtype, rows, chunk_bytes=chunk_bytes)
            )

        indptr = create("indptr", np.int64, num_nodes + 1, INDPTR_CHUNK_BYTES)
        indices = create("indices", index_dtype(num_nodes), max_edges, EDGE_CHUNK_BYTES)
        typed, weighted = sorter.num_types > 0, sorter.value == "weight"
        types = create("edge_type", np.int16, max_edges, EDGE_CHUNK_BYTES) if typed else None
        if weighted:
            weight = create("weight", np.float32, max_edges, EDGE_CHUNK_BYTES)
            in_weight = create("in_weight", np.float64, num_nodes, INDPTR_CHUNK_BYTES)
        indptr.append(np.zeros(1, np.int64))
        for first, rows in sorter.rows(held_out):
            indptr.append(num_edges + np.cumsum(rows.degree))
            indices.append(rows.indices)
            if types is not None:
                types.append(rows.types)
            if weighted:
                weight.append(rows.weights)
                in_weight.append(sums_of_rows(rows.degree, rows.weights))
            on_rows(first, rows)
            num_edges += len(rows.indices)
            advance(len(rows.indices) + len(rows.held_out_pair) + rows.duplicates)
    writer.attrs["num_edges"] = num_edges
    return num_edges


def sums_of_rows(degree_n: np.ndarray, weight_e: np.ndarray) -> np.ndarray:
    """The sum of the weights of each row, float64 [n]."""
    row_e = np.repeat(np.arange(len(degree_n)), degree_n)
    return np.bincount(row_e, weight_e, minlength=len(degree_n))
