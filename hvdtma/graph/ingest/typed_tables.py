"""A typed graph in tables: one table per node type, one per edge type.

    hvdtma build shop.zarr --nodes user=users.parquet --edges user:buys:item=buys.csv

A node type without a table has the ids that its edges name. Ids and edges are read into memory.

Legend: N nodes of a type, E edges of a type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hvdtma.core.console import stage
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES, MemoryBudget
from hvdtma.graph.ids.kind import TableIds, are_strings
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.edges import EdgeRows, open_edges, read_edges
from hvdtma.graph.ingest.feature_rows import FileRows, nodes_of_rows, placed_matrix
from hvdtma.graph.ingest.features import FeatureInput, read_features
from hvdtma.graph.ingest.file_graph import matrix_bytes
from hvdtma.graph.ingest.labels import open_labels, read_labels
from hvdtma.graph.ingest.node_tables import id_checks, id_column_of, ids_in
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.label_values import NodeLabels
from hvdtma.graph.raw import read_all_rows
from hvdtma.graph.sources.typed_frameworks import add_labels
from hvdtma.graph.typed.schema import EdgeType, GraphSchema, check_types, with_reverse
from hvdtma.graph.typed.source import NodesOfType, TypedGraph
from hvdtma.tables.database import Database
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import InputTable, open_table

NOT_TYPED = {
    "type_column": "each edge type has tables of its own",
    "weight_column": "their edges have no weights",
    "time_column": "their edges have no times, and links are held out at random",
}


@dataclass
class FileTypedGraph(TypedGraph):
    """A typed graph that was read from tables.

    Attributes:
        num_bytes: the memory of its arrays.
    """

    num_bytes: int = 0

    @property
    def reserved_bytes(self) -> int:
        """The memory of ids, edges and features."""
        return self.num_bytes


@dataclass(frozen=True)
class TypedInputs:
    """The tables of a typed graph; each is what `FileSource` takes for one input.

    Attributes:
        nodes: by node type: a table with the ids, and features in the other columns.
        edges: by edge type.
        labels: of one node type.
        undirected: whether messages flow both ways.
    """

    nodes: Mapping[str, Any]
    edges: Mapping[EdgeType, Any]
    labels: Mapping[str, Any]
    undirected: bool = False

    @classmethod
    def of(cls, nodes: Any, edges: Any, labels: Any, undirected: bool) -> TypedInputs:
        """The inputs of `build`; raises UserError for other forms and for unknown types."""
        if not isinstance(edges, Mapping) or not edges:
            raise UserError(
                "a typed graph needs edges by edge type: --edges user:buys:item=FILE, or in Python "
                "edges={('user', 'buys', 'item'): ...}"
            )
        for word, given in (("nodes", nodes), ("labels", labels)):
            if given is not None and not isinstance(given, Mapping):
                raise UserError(f"--{word} of a typed graph are by node type: --{word} user=FILE")
        by_type = {EdgeType.of(kind): table for kind, table in edges.items()}
        inputs = cls(dict(nodes or {}), by_type, dict(labels or {}), undirected)
        ends = inputs.node_types
        for word, names in (("nodes", inputs.nodes), ("labels", inputs.labels)):
            for name in names:
                if name not in ends:
                    raise UserError(
                        f"--{word} names the type '{name}', which is no end of an edge type; "
                        + nearest(name, ends)
                    )
        if len(inputs.labels) > 1:
            raise UserError(f"labels of {', '.join(inputs.labels)}; valid: of one node type")
        return inputs

    @property
    def schema(self) -> GraphSchema:
        """The types, before any table is read; raises UserError for types that cannot be."""
        check_types(self.node_types, list(self.edges))
        edge_types = with_reverse(list(self.edges)) if self.undirected else list(self.edges)
        return GraphSchema(tuple(self.node_types), tuple(edge_types))

    @property
    def node_types(self) -> list[str]:
        """The ends of the edge types, in the order in which they are named."""
        ends = [end for kind in self.edges for end in (kind.src, kind.dst)]
        return list(dict.fromkeys([*(n for n in self.nodes if n in ends), *ends]))


def typed_graph_of_tables(
    inputs: TypedInputs, options: ReadOptions, memory: MemoryBudget, folder: Path
) -> FileTypedGraph:
    """Read the tables.

    Args:
        memory: the limit.
        folder: for temporary files.

    Raises UserError for bad inputs, and for too little memory.
    """
    check_typed_reading(options)
    db = Database(memory.num_bytes - BASE_BYTES - LEAST_WORK_BYTES, folder)
    with closing(db):
        return _Reading(inputs, options, memory, db).graph()


def check_typed_reading(options: ReadOptions) -> None:
    """Raise UserError for options of columns that edges of a typed graph cannot have."""
    for key, why in NOT_TYPED.items():
        if getattr(options, key) is not None:
            flag = key.replace("_", "-")
            raise UserError(f"--{flag} {getattr(options, key)} is not for typed graphs: {why}")


class _Reading:
    """Reads the tables of a typed graph one after the other."""

    def __init__(
        self, inputs: TypedInputs, options: ReadOptions, memory: MemoryBudget, db: Database
    ):
        self.inputs, self.options, self.memory, self.db = inputs, options, memory, db
        file = options.bad_rows_file
        self.bad = BadRows(options.bad_rows, None if file is None else Path(file).expanduser())
        self.counts: Counter[str] = Counter()
        self.read: list[dict[str, object]] = []
        self.num_bytes = 0

    def graph(self) -> FileTypedGraph:
        tables = {name: self._open_nodes(given) for name, given in self.inputs.nodes.items()}
        opened = {
            kind: open_edges(self.db, given, self.options)
            for kind, given in self.inputs.edges.items()
        }
        rows = {}
        for kind, columns in opened.items():
            with stage(f"reading {kind}"):
                rows[kind] = read_edges(columns, self.options, self.bad)
            self.counts.update(rows[kind].staged.counts)
            self._note(f"edges {kind}", columns.table.where, rows[kind].staged.num_rows)
        nodes, found = {}, {}
        for name in self.inputs.node_types:
            found[name], nodes[name] = self._nodes(name, tables.get(name), rows)
        edges = {kind: self._ends(kind, each, found) for kind, each in rows.items()}
        origin: dict[str, object] = {"kind": "typed files", "read": self.read}
        graph = FileTypedGraph(
            nodes,
            edges,
            add_reverse=self.inputs.undirected,
            origin=origin,
            num_bytes=self.num_bytes,
        )
        for name, given in self.inputs.labels.items():
            table = open_labels(self.db, given, self.options)
            labels = read_labels(table, found[name], self.options, self.bad)
            self.counts.update(labels.counts)
            self._note(f"labels of {name}", table.table.where, labels.num_rows)
            add_labels(graph, name, NodeLabels(labels.label, labels.names, labels.kind))
        self.bad.write()
        graph.counts |= self.counts
        return graph

    def _open_nodes(self, given: Any) -> tuple[InputTable, str]:
        """The table of a node type, and its id column."""
        named = (self.options.id_column,)
        table = open_table(self.db, given, "nodes", self.options.text, named=named, id_fields=1)
        table.check_header()
        return table, id_column_of(table, self.options, are_features=True)

    def _nodes(
        self, name: str, opened: tuple[InputTable, str] | None, rows: Mapping[EdgeType, EdgeRows]
    ) -> tuple[NodeTable, NodesOfType]:
        """The ids of a node type, from its table and its edges; and its features."""
        columns = [
            end
            for kind, each in rows.items()
            for at, end in zip((kind.src, kind.dst), each.ends, strict=True)
            if at == name
        ]
        features = None
        if opened is not None:
            keyed, features = self._read_table(name, *opened)
            columns = [*columns, keyed]
        strings = are_strings(self.db, columns, self.options.id_type)
        available = self.memory.available(self.num_bytes, f"reading the ids of {name}")
        table = NodeTable(self.db, columns, strings, available // 8)
        self.num_bytes += table.num_bytes
        return table, NodesOfType(table.ids, self._placed(name, features, table))

    def _read_table(
        self, name: str, table: InputTable, id_column: str
    ) -> tuple[TableIds, FeatureInput | None]:
        """The ids of a table, and its features if it has further columns."""
        if [column for column in table.names if column != id_column]:
            read = read_features(self.db, table, self.options, self.bad)
            self.counts.update(read.counts)
            self._note(f"nodes {name}", read.where, read.shape[0], f"{read.shape[1]} features")
            assert read.ids is not None
            return read.ids, read
        checks = id_checks(table, id_column, self.options)
        staged = table.stage([id_column], checks, self.bad, multiline=True)
        self.counts.update(staged.counts)
        self._note(f"nodes {name}", table.where, staged.num_rows, "no features")
        return ids_in(table, staged, id_column, self.options), None

    def _placed(self, name: str, read: FeatureInput | None, table: NodeTable) -> Any:
        """The features of a type in the order of its nodes; zeros for nodes without a row."""
        if read is None:
            return None
        nodes = nodes_of_rows(read, table)
        self.counts["ids_without_features"] += len(table) - read.shape[0]
        if read.sparse is not None:
            feat = placed_matrix(read.sparse, nodes)
            self.num_bytes += matrix_bytes(feat)
            return feat
        needed = len(table) * read.shape[1] * read.kept_dtype.itemsize
        self.memory.available(self.num_bytes + needed, f"the features of {name}")
        self.num_bytes += needed
        return read_all_rows(FileRows(read, table, nodes))

    def _ends(
        self, kind: EdgeType, rows: EdgeRows, found: Mapping[str, NodeTable]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of both ends, each within its type."""
        needed = 16 * rows.staged.num_rows
        self.memory.available(self.num_bytes + 2 * needed, f"the edges {kind}")
        self.num_bytes += needed
        one, other = (
            found[name].positions(end).astype(np.int64)
            for name, end in zip((kind.src, kind.dst), rows.ends, strict=True)
        )
        return one, other

    def _note(self, argument: str, where: str, rows: int, text: str = "") -> None:
        more = f": {text}" if text else ""
        self.read.append({"input": argument, "rows": rows, "text": f"{where}{more}"})
