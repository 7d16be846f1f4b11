"""Matrices by node in memory, in a store or in a scratch file.

Legend: N rows.
"""

from __future__ import annotations

import numpy as np

from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.store import GraphStore
from hvdtma.storage.row_file import RowFile


class StoredRows:
    """An array [N, ...] of a store, read by ranges of rows."""

    def __init__(self, store: GraphStore, name: str):
        self.store, self.name = store, name
        array = store.array(name)
        self.shape, self.dtype = array.shape, array.dtype
        self.rows_at_once = array.chunks[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        return self.store.read(self.name, start, stop)


Rows = np.ndarray | RowFile | StoredRows


def gather(rows: Rows, nodes: np.ndarray) -> np.ndarray:
    """The rows of scattered nodes, in the given order; a matrix on disk is read sequentially."""
    if isinstance(rows, np.ndarray):
        return rows[nodes]
    out = np.empty((len(nodes), *rows.shape[1:]), rows.dtype)
    order = np.argsort(nodes, kind="stable")
    ascending, step, done = nodes[order], rows.rows_at_once, 0
    while done < len(order):
        start = int(ascending[done]) // step * step
        upto = int(np.searchsorted(ascending, start + step))
        piece = rows[start : start + step]
        out[order[done:upto]] = piece[ascending[done:upto] - start]
        done = upto
    return out


def read_rows(store: GraphStore, name: str, chosen: np.ndarray | None) -> np.ndarray:
    """The chosen rows of an array of a store (None: all), without reading all into memory."""
    return store.read(name) if chosen is None else gather(StoredRows(store, name), chosen)


def stored(graph: GraphFacts) -> GraphStore:
    """The graph as a store; raises TypeError for a planned graph, which has no arrays."""
    if not isinstance(graph, GraphStore):
        raise TypeError(f"{graph.path} is only planned: it has sizes and no arrays")
    return graph
