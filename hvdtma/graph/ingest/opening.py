"""The steps of opening a graph in tables: ids, splits, features, labels.

Legend: N nodes, E edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.console import stage, warn
from hvdtma.core.errors import UserError
from hvdtma.core.memory import BASE_BYTES, MemoryBudget
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.projection import given_names
from hvdtma.graph.ids.kind import TableIds, all_ids, are_strings
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.edges import EdgeColumns, EdgeRows, open_edges, read_edges
from hvdtma.graph.ingest.feature_rows import (
    FileRows,
    check_numbered,
    nodes_of_rows,
    placed_matrix,
)
from hvdtma.graph.ingest.features import FeatureInput, open_features, read_features
from hvdtma.graph.ingest.file_graph import FileGraph, matrix_bytes
from hvdtma.graph.ingest.given_splits import (
    GivenSplits,
    check_types_match,
    open_splits,
    read_splits,
    take_splits,
)
from hvdtma.graph.ingest.labels import LabelTable, open_labels, read_labels
from hvdtma.graph.ingest.leaks import check_leaks
from hvdtma.graph.ingest.options import GraphInputs
from hvdtma.graph.ingest.requirements import WHOLE_SHARE, IngestRequirement
from hvdtma.graph.raw import read_all_rows
from hvdtma.graph.store import open_store
from hvdtma.tables.columns import check_num_types, sorted_names
from hvdtma.tables.database import DATABASE_BYTES, Database
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import InputTable

LEAST_NUMBERS = 0.5  # above this share of numbers, `1` and `1.0` are not two names
DATABASE_SHARE = 4  # the database gets at most one part in 4 of the memory while edges are sorted


class Opening:
    """Opens the inputs of a graph, reads what must be in memory, and makes the graph of it."""

    def __init__(
        self,
        source: GraphInputs,
        db: Database,
        memory: MemoryBudget,
        build: BuildOptions | None,
    ):
        self.source, self.db, self.memory, self.build = source, db, memory, build
        file = source.bad_rows_file
        self.bad = BadRows(source.bad_rows, None if file is None else Path(file).expanduser())
        self.counts: Counter[str] = Counter()
        self.read: list[dict[str, object]] = []  # for the build's report

    def graph(self) -> FileGraph:
        source = self.source
        if source.edges is None and source.splits is None:
            raise UserError("a graph needs --edges, or --splits with train, valid and test pairs")
        source.check_used()
        labels = None if source.labels is None else open_labels(self.db, source.labels, source)
        features = None
        if source.features is not None:
            features = open_features(self.db, source.features, source)
        given = None if source.splits is None else open_splits(self.db, source.splits, source)
        opened = None if source.edges is None else open_edges(self.db, source.edges, source)
        self._check_times(opened, labels)
        splits = None if given is None else self._read_splits(given, opened)
        read = None if features is None else self._read_features(features)
        requirement = IngestRequirement(
            source.undirected,
            opened,
            0 if labels is None else len(labels.columns),
            read,
            splits,
            self.build,
        )
        known = read.shape[0] if read is not None else 0
        self.memory.available(
            DATABASE_BYTES + requirement.required_bytes(known), "building a store of these files"
        )
        rows = None
        if opened is not None:
            with stage(f"reading {opened.table.where}"):
                rows = read_edges(opened, source, self.bad)
            self.counts.update(rows.staged.counts)
            self._note("edges", opened.table.where, rows.staged.num_rows, opened.text)
        nodes = self._nodes(rows, splits, read)
        num_edges = 0 if rows is None else rows.staged.num_rows
        later = requirement.required_bytes(len(nodes), num_edges) + DATABASE_BYTES
        self.memory.available(nodes.num_bytes + later, f"a graph of {len(nodes):,} nodes")
        graph = self._graph(nodes, rows, splits)
        if read is not None:
            self._place_features(graph, read, requirement)
        if labels is not None:
            found = read_labels(labels, nodes, source, self.bad)
            graph.label, graph.label_names = found.label, found.names
            graph.label_kind = found.kind
            graph.node_time = found.time
            self.counts.update(found.counts)
            columns = ", ".join(labels.columns)
            self._note("labels", labels.table.where, found.num_rows, f"{found.kind}: {columns}")
            self._check_leaks(graph, read)
        self.bad.write()
        graph.counts |= self.counts
        graph.origin["read"] = self.read
        graph.database_bytes = self._shrink_database(graph, requirement)
        return graph

    def _check_times(self, opened: EdgeColumns | None, labels: LabelTable | None) -> None:
        column = self.source.time_column
        tables = [one.table for one in (opened, labels) if one is not None]
        if column is not None and tables and not any(column in t.names for t in tables):
            tables[0].column(column)

    def _read_splits(self, given: InputTable | Path, opened: EdgeColumns | None) -> GivenSplits:
        splits = read_splits(self.db, given, self.source, self.bad)
        self.counts.update(splits.counts)
        if opened is None and not splits.num_pairs:
            raise UserError(f"{splits.where} holds a split of nodes only; give --edges too")
        if opened is not None and splits.num_pairs:
            typed = opened.edge_type is not None
            check_types_match(splits.where, typed, bool(splits.types))
        return splits

    def _read_features(self, opened: InputTable | Path) -> FeatureInput:
        old = None if self.build is None else self.build.features_like
        like = frozenset[str]() if old is None else given_names(open_store(old))
        read = read_features(self.db, opened, self.source, self.bad, like)
        if read.sparse is not None:
            self.memory = self.memory.reserve(matrix_bytes(read.sparse))
        self.counts.update(read.counts)
        self._note("features", read.where, read.shape[0], f"{read.shape[1]} features")
        return read

    def _nodes(
        self, rows: EdgeRows | None, splits: GivenSplits | None, read: FeatureInput | None
    ) -> NodeTable:
        """Collect the ids of all inputs."""
        columns = [] if rows is None else rows.ends
        given = list(splits.ids.values()) if splits is not None else []
        if rows is not None:  # the edges decide whether text that is typed is an integer
            given = [replace(one, is_typed=False) for one in given]
        keyed = [] if read is None or read.ids is None else [read.ids]
        numbered = read is not None and read.ids is None
        strings = are_strings(self.db, [*columns, *given, *keyed], self.source.id_type)
        if rows is None:
            columns = given
        if read is not None and numbered:
            bounds = f"SELECT min(id), max(id) FROM ({all_ids(columns, False)})"
            check_numbered(read, strings, *((0, 0) if strings else self.db.run(bounds)[0]))
        sizes = [rows.columns.num_rows if rows is not None else 0]
        sizes += [read.shape[0]] if read is not None and numbered else []
        for size in filter(None, sizes):
            columns = [
                *columns,
                TableIds(f"(SELECT range AS id FROM range({size}))", "id", "BIGINT", ""),
            ]
        available = self.memory.available(0, "reading ids")
        if read is not None and read.ids is not None:
            self._check_shared(columns, read.ids, strings, read.where)
        nodes = NodeTable(self.db, [*columns, *keyed], strings, available // 8)
        self._warn_of_near_ids(nodes)
        return nodes

    def _check_shared(
        self, columns: Sequence[TableIds], keyed: TableIds, strings: bool, where: str
    ) -> None:
        """Raise UserError if no id with features has an edge."""
        every, own = all_ids(columns, strings), keyed.select(strings)
        if self.db.run(
            f"SELECT 1 FROM ({own}) AS a SEMI JOIN ({every}) AS b ON a.id = b.id LIMIT 1"
        ):
            return
        first, other = (self.db.value(f"SELECT id FROM ({sql}) LIMIT 1") for sql in (own, every))
        raise UserError(
            f"{where}: none of its ids is in the graph; its first id is '{first}', that of the "
            f"graph '{other}'; see --id-column"
        )

    def _warn_of_near_ids(self, nodes: NodeTable) -> None:
        for way, (one, other) in nodes.nearly_equal().items():
            refused = way == "a decimal point" and self.source.id_type == "auto"
            if refused and nodes.share_of_numbers() > LEAST_NUMBERS:
                raise UserError(
                    f"the ids '{one}' and '{other}' differ only by a decimal point, as pandas "
                    "writes integers of a column with missing values. Give --id-type int to read "
                    "them as one integer, or --id-type str to keep them as two nodes"
                )
            warn(
                f"warning: ids such as {one!r} and {other!r} differ only by {way}; they are "
                "different nodes"
            )

    def _graph(
        self, nodes: NodeTable, rows: EdgeRows | None, splits: GivenSplits | None
    ) -> FileGraph:
        names: set[str] = set() if rows is None else rows.type_names()
        for types in splits.types.values() if splits is not None else ():
            names |= set(types.to_pylist())
        type_names = sorted_names(names)
        check_num_types(len(type_names))
        none = np.zeros(0, np.int64)
        graph = FileGraph(
            none,
            none,
            nodes.ids,
            none.astype(np.int16) if type_names else None,
            undirected=self.source.undirected,
            edge_type_names=type_names,
            origin=self.source.origin(),
            nodes=nodes,
            rows=rows,
        )
        if splits is not None:
            graph.held_out_key = take_splits(graph, splits, nodes, type_names)
        return graph

    def _place_features(
        self, graph: FileGraph, read: FeatureInput, requirement: IngestRequirement
    ) -> None:
        """Set the features; in memory if they need less than a quarter of it."""
        nodes = nodes_of_rows(read, graph.nodes)
        graph.counts["ids_without_features"] = graph.num_nodes - read.shape[0]
        share = 1 - read.shape[0] / graph.num_nodes
        if share > 0.2:
            warn(
                f"warning: {share:.0%} of the nodes have no features in {read.where}; "
                "they get zeros"
            )
        graph.feature_names = read.names
        if read.columns is not None:
            graph.counts["feature_columns_left_out"] = len(read.columns.left_out)
        if read.sparse is not None:
            graph.feat = placed_matrix(read.sparse, nodes)
            return
        rows = FileRows(read, graph.nodes, nodes)
        graph.feat = rows
        memory = self.memory
        num_bytes = graph.num_nodes * rows.shape[1] * rows.dtype.itemsize
        small = num_bytes <= (memory.num_bytes - BASE_BYTES - graph.reserved_bytes) // WHOLE_SHARE
        later = requirement.required_bytes(graph.num_nodes, graph.num_edges) + DATABASE_BYTES
        if small and memory.fits(graph.nodes.num_bytes + num_bytes + later):
            graph.feat = read_all_rows(rows)
        elif read.column_major:
            raise UserError(
                f"{read.where} is in column-major order, so it must fit in memory, but has "
                f"{num_bytes / 2**30:.1f} GiB; save it in row-major order (np.ascontiguousarray), "
                "or give a larger --memory-gb"
            )

    def _check_leaks(self, graph: FileGraph, read: FeatureInput | None) -> None:
        """Raise UserError for a dense feature that equals the label."""
        feat, label = graph.feat, graph.label
        if read is None or label is None or not isinstance(feat, np.ndarray | FileRows):
            return
        if isinstance(feat, np.ndarray):
            pieces = iter([(np.arange(len(feat)), feat)])
        else:
            pieces = feat.placed_pieces()
        check_leaks(pieces, label, graph.label_kind, read.names)

    def _shrink_database(self, graph: FileGraph, requirement: IngestRequirement) -> int:
        """Give the database a share of the memory for the passes that follow; return it."""
        pa.default_memory_pool().release_unused()
        memory = self.memory.reserve(graph.reserved_bytes)
        later = requirement.required_bytes(graph.num_nodes, graph.num_edges)
        spare = memory.num_bytes - memory.requirement(later, "").total_bytes
        share = (memory.num_bytes - BASE_BYTES) // DATABASE_SHARE
        num_bytes = max(min(spare, share), DATABASE_BYTES)
        self.db.limit_memory(num_bytes)
        return num_bytes

    def _note(self, argument: str, where: str, rows: int, text: str) -> None:
        self.read.append({"input": argument, "rows": rows, "text": f"{where}: {text}"})
