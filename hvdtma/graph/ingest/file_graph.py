"""A graph in tables: edges are read in batches, ids, labels and splits are in memory.

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
import scipy.sparse as sp

from hvdtma.core.compiled import njit
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.edges import EdgeRows
from hvdtma.graph.ingest.feature_rows import FileRows
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sort.batches import EDGES_PER_BATCH, EdgeBatch, LazyEdgeBatch, materialize
from hvdtma.graph.splits import pair_key


@dataclass
class FileGraph(RawGraph):
    """A `Source` with the given train pairs as edges in memory, and the edges of a table.

    Attributes:
        nodes: from the user's ids to node numbers.
        rows: the edges of the table, or None.
        held_out_key: int64, ascending, the `pair_key` of pairs whose edges are left out.
        database_bytes: the memory that the database may use while edges are read.

    `counts` are complete once all batches have been read.
    """

    nodes: NodeTable = field(kw_only=True)
    rows: EdgeRows | None = None
    held_out_key: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    database_bytes: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.has_edge_N = np.zeros(0, bool)

    @property
    def weighted(self) -> bool:
        return self.rows is not None and self.rows.columns.weight is not None

    @property
    def timed(self) -> bool:
        return self.rows is not None and self.rows.columns.time is not None

    @property
    def num_edges(self) -> int:
        """E, with edges that are left out as held out."""
        return len(self.src) + (0 if self.rows is None else self.rows.staged.num_rows)

    @property
    def reserved_bytes(self) -> int:
        """The memory of ids, features, splits, marks of nodes and the database."""
        arrays = [self.src, self.dst, self.label, self.held_out_key]
        if isinstance(self.feat, FileRows):
            arrays.append(self.feat.nodes)
        elif isinstance(self.feat, np.ndarray):
            arrays.append(self.feat)
        for pairs in (self.link_split or {}).values():
            arrays += [pairs.src, pairs.dst, pairs.neg]
        total = sum(array.nbytes for array in arrays if array is not None)
        total += matrix_bytes(self.feat) if isinstance(self.feat, sp.csr_matrix) else 0
        return total + self.nodes.num_bytes + self.num_nodes + self.database_bytes

    def close(self) -> None:
        """Close the database and remove its files; edges cannot be read any more."""
        self.nodes.db.close()

    def edge_batches(self) -> Iterator[LazyEdgeBatch]:
        """The edges in memory, then those of the table."""
        self.has_edge_N = np.zeros(self.num_nodes, bool)
        self.counts["nodes_without_edges"] = self.num_nodes
        if self.link_split is not None:
            self.counts["edges_held_out"] = 0
        for batch in super().edge_batches():
            yield partial(self._counted, batch)
        if self.rows is not None:
            for read in self._table_batches(self.rows):
                yield partial(self._without_held_out, read)
            pa.default_memory_pool().release_unused()  # read buffers

    def _table_batches(self, rows: EdgeRows) -> Iterator[pa.RecordBatch]:
        """Both ends as ids (bitmap) or node numbers, then what else edges have, by name."""
        db = self.nodes.db
        ends, others = rows.expressions(self.nodes.strings)
        joins = ""
        if "edge_type" in others:
            types = pa.table(
                {"kind": self.edge_type_names, "number": range(len(self.edge_type_names))}
            )
            joins = f" JOIN {db.store(types, 'types')} AS k ON k.kind = {others['edge_type']}"
            others["edge_type"] = "CAST(k.number AS SMALLINT)"
        if self.nodes.table is not None:
            for at, end in enumerate(ends):
                joins += f" JOIN {self.nodes.table} AS t{at} ON {end} = t{at}.id"
            ends = ("t0.rowid", "t1.rowid")
        chosen = [*ends, *(f"{sql} AS {key}" for key, sql in others.items())]
        query = f"SELECT {', '.join(chosen)} FROM {rows.staged.sql} AS e{joins}"
        yield from db.batches(query, EDGES_PER_BATCH)

    def _counted(self, batch: LazyEdgeBatch) -> EdgeBatch:
        edges = materialize(batch)
        self._count(edges, 0)
        return edges

    def _without_held_out(self, read: pa.RecordBatch) -> EdgeBatch:
        """Edges in node numbers, without held-out edges."""
        columns = {key: read.column(at) for at, key in enumerate(read.schema.names) if at > 1}
        ends = [read.column(at) for at in range(2)]
        if self.nodes.bitmap is None:
            src, dst = (end.to_numpy() for end in ends)
        else:
            src, dst = map(self.nodes.bitmap.lookup, ends)
        edges = EdgeBatch(
            src,
            dst,
            *(
                columns[key].to_numpy() if key in columns else None
                for key in ("edge_type", "weight", "time")
            ),
        )
        num_read = len(src)
        if len(self.held_out_key):
            key = pair_key(src, dst, self.num_nodes)
            at = np.searchsorted(self.held_out_key, key)
            at[at == len(self.held_out_key)] = 0
            edges = edges.take(self.held_out_key[at] != key)
        self._count(edges, num_read - len(edges.src))
        return edges

    def _count(self, edges: EdgeBatch, num_held_out: int) -> None:
        with self.lock:
            self.counts["nodes_without_edges"] -= _mark(self.has_edge_N, edges.src, edges.dst)
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
