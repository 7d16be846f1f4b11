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
    """Write `indptr`, `indices` and, for typed edges, `edge_type`; return the number of edges E.

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
        typed = sorter.num_types > 0
        types = create("edge_type", np.int16, max_edges, EDGE_CHUNK_BYTES) if typed else None
        indptr.append(np.zeros(1, np.int64))
        for first, rows in sorter.rows(held_out):
            indptr.append(num_edges + np.cumsum(rows.degree))
            indices.append(rows.indices)
            if types is not None:
                types.append(rows.types)
            on_rows(first, rows)
            num_edges += len(rows.indices)
            advance(len(rows.indices) + len(rows.held_out_pair) + rows.duplicates)
    writer.attrs["num_edges"] = num_edges
    return num_edges
