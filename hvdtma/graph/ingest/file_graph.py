"""A graph in files, opened: its edges are read in pieces, what stands beside them is in memory.

Legend: N nodes, E edges, n edges of a piece.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.core.compiled import njit
from hvdtma.core.errors import UserError
from hvdtma.graph.ingest.edge_file import EdgeBatch, EdgeFile
from hvdtma.graph.ingest.feature_rows import FileRows
from hvdtma.graph.ingest.ids.table import IdTable
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sort.pieces import EdgePiece
from hvdtma.graph.splits import pair_key


@dataclass
class FileGraph(RawGraph):
    """A `Source` whose edges are those in memory (given train pairs) and then those of a file.

    Attributes:
        table: positions of the user's ids.
        file: the edges that are read, or None.
        num_file_edges: how many.
        held_out_key: int64, ascending, `pair_key` of pairs whose edges are left out.

    `counts` of what happens to edges are complete when all pieces have been made.
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
        """E, with those that are left out for being held out."""
        return len(self.src) + self.num_file_edges

    @property
    def held_bytes(self) -> int:
        """Ids, their table, features and given splits; and a mark per node."""
        arrays = [self.src, self.dst, self.label, self.held_out_key]
        if isinstance(self.feat, FileRows):
            arrays.append(self.feat.nodes)
        elif isinstance(self.feat, np.ndarray):
            arrays.append(self.feat)
        for pairs in (self.link_split or {}).values():
            arrays += [pairs.src, pairs.dst, pairs.neg]
        held = sum(array.nbytes for array in arrays if array is not None)
        held += matrix_bytes(self.feat) if isinstance(self.feat, sp.csr_matrix) else 0
        return held + self.table.num_bytes + self.num_nodes

    def edge_pieces(self) -> Iterator[Callable[[], EdgePiece]]:
        """The edges in memory, then those of the file, read as they are asked for."""
        self.has_edge_N = np.zeros(self.num_nodes, bool)
        self.counts["nodes_without_edges"] = self.num_nodes
        if self.link_split is not None:
            self.counts["edges_held_out"] = 0
        for make in super().edge_pieces():
            yield partial(self._noted, make)
        if self.file is not None:
            for batch in self.file.batches():
                yield partial(self._mapped, batch)
            pa.default_memory_pool().release_unused()  # it would keep what it read files with

    def load(self) -> RawGraph:
        """The whole graph in memory."""
        pieces = [make() for make in self.edge_pieces()]
        src, dst, types = zip(*pieces, strict=True)
        feat = self.feat.gathered() if isinstance(self.feat, FileRows) else self.feat
        return RawGraph(
            np.concatenate(src),
            np.concatenate(dst),
            self.node_id,
            self.undirected,
            np.concatenate(types) if self.edge_type_names else None,
            self.edge_type_names,
            feat,
            self.label,
            self.label_names,
            self.link_split,
            self.node_split,
            self.counts,
            self.source,
        )

    def _noted(self, make: Callable[[], EdgePiece]) -> EdgePiece:
        src, dst, types = make()
        self._note(src, dst, 0)
        return src, dst, types

    def _mapped(self, batch: EdgeBatch) -> EdgePiece:
        """Edges as positions, without those that are held out."""
        src, dst = self.table.lookup(batch.src), self.table.lookup(batch.dst)
        types = None
        if batch.edge_type is not None:
            names = batch.edge_type.cast(pa.large_string())
            types = pc.index_in(names, value_set=self.known_types).fill_null(-1).to_numpy()
        if min(end.min() for end in (src, dst, types) if end is not None) < 0:
            raise UserError("a file of edges was changed while it was read; build again")
        num_read = len(src)
        if len(self.held_out_key):
            key = pair_key(src, dst, self.num_nodes)
            at = np.searchsorted(self.held_out_key, key)
            at[at == len(self.held_out_key)] = 0
            kept = self.held_out_key[at] != key
            src, dst = src[kept], dst[kept]
            types = None if types is None else types[kept]
        self._note(src, dst, num_read - len(src))
        return src, dst, None if types is None else types.astype(np.int16)

    def _note(self, src: np.ndarray, dst: np.ndarray, num_held_out: int) -> None:
        with self.lock:
            self.counts["nodes_without_edges"] -= _mark(self.has_edge_N, src, dst)
            if num_held_out:
                self.counts["edges_held_out"] += num_held_out


@njit(nogil=True)
def _mark(mark_N: np.ndarray, src_n: np.ndarray, dst_n: np.ndarray) -> int:
    """Mark nodes; how many were not marked before."""
    new = 0
    for edge in range(len(src_n)):
        for node in (src_n[edge], dst_n[edge]):
            new += not mark_N[node]
            mark_N[node] = True
    return new


def matrix_bytes(matrix: Any) -> int:
    """What a CSR takes of memory; SciPy has no type hints."""
    return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
