"""A graph in files: edges are read in batches, ids, labels and splits are in memory.

Legend: N nodes, E edges, n edges of a piece.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.core.compiled import njit
from hvdtma.core.errors import UserError
from hvdtma.graph.ids.table import IdTable
from hvdtma.graph.ingest.edge_file import EdgeFile, EdgeRows
from hvdtma.graph.ingest.feature_rows import FileRows
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sort.batches import EdgeBatch, LazyEdgeBatch, materialize
from hvdtma.graph.splits import pair_key


@dataclass
class FileGraph(RawGraph):
    """A `Source` with the given train pairs as edges in memory, and the edges of a file.

    Attributes:
        table: from the user's ids to node numbers.
        file: the file of edges, or None.
        num_file_edges: the number of edges in the file.
        held_out_key: int64, ascending, the `pair_key` of pairs whose edges are left out.

    `counts` are complete once all batches have been read.
    """

    table: IdTable = field(kw_only=True)
    file: EdgeFile | None = None
    num_file_edges: int = 0
    held_out_key: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.has_edge_N = np.zeros(0, bool)
        self.known_types = pa.array(self.edge_type_names, pa.large_string())

    @property
    def num_edges(self) -> int:
        """E, with edges that are left out as held out."""
        return len(self.src) + self.num_file_edges

    @property
    def reserved_bytes(self) -> int:
        """The memory of ids, table, features, splits and marks of nodes."""
        arrays = [self.src, self.dst, self.label, self.held_out_key]
        if isinstance(self.feat, FileRows):
            arrays.append(self.feat.nodes)
        elif isinstance(self.feat, np.ndarray):
            arrays.append(self.feat)
        for pairs in (self.link_split or {}).values():
            arrays += [pairs.src, pairs.dst, pairs.neg]
        total = sum(array.nbytes for array in arrays if array is not None)
        total += matrix_bytes(self.feat) if isinstance(self.feat, sp.csr_matrix) else 0
        return total + self.table.num_bytes + self.num_nodes

    def edge_batches(self) -> Iterator[LazyEdgeBatch]:
        """The edges in memory, then those of the file."""
        self.has_edge_N = np.zeros(self.num_nodes, bool)
        self.counts["nodes_without_edges"] = self.num_nodes
        if self.link_split is not None:
            self.counts["edges_held_out"] = 0
        for batch in super().edge_batches():
            yield partial(self._counted, batch)
        if self.file is not None:
            for rows in self.file.batches():
                yield partial(self._mapped, rows)
            pa.default_memory_pool().release_unused()  # read buffers

    def _counted(self, batch: LazyEdgeBatch) -> EdgeBatch:
        edges = materialize(batch)
        self._count(edges.src, edges.dst, 0)
        return edges

    def _mapped(self, rows: EdgeRows) -> EdgeBatch:
        """Edges in node numbers, without held-out edges."""
        src, dst = self.table.lookup(rows.src), self.table.lookup(rows.dst)
        types = None
        if rows.edge_type is not None:
            names = rows.edge_type.cast(pa.large_string())
            types = pc.index_in(names, value_set=self.known_types).fill_null(-1).to_numpy()
        if min(end.min() for end in (src, dst, types) if end is not None) < 0:
            raise UserError("the file of edges was changed while it was read; build again")
        num_read = len(src)
        if len(self.held_out_key):
            key = pair_key(src, dst, self.num_nodes)
            at = np.searchsorted(self.held_out_key, key)
            at[at == len(self.held_out_key)] = 0
            kept = self.held_out_key[at] != key
            src, dst = src[kept], dst[kept]
            types = None if types is None else types[kept]
        self._count(src, dst, num_read - len(src))
        return EdgeBatch(src, dst, None if types is None else types.astype(np.int16))

    def _count(self, src: np.ndarray, dst: np.ndarray, num_held_out: int) -> None:
        with self.lock:
            self.counts["nodes_without_edges"] -= _mark(self.has_edge_N, src, dst)
            if num_held_out:
                self.counts["edges_held_out"] += num_held_out


@njit(nogil=True)
def _mark(mark_N: np.ndarray, src_n: np.ndarray, dst_n: np.ndarray) -> int:
    """Mark nodes; return the number of new marks."""
    new = 0
    for edge in range(len(src_n)):
        for node in (src_n[edge], dst_n[edge]):
            new += not mark_N[node]
            mark_N[node] = True
    return new


def matrix_bytes(matrix: Any) -> int:
    """The memory of a CSR matrix."""
    return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
