"""Open a graph in files: edges, features, labels and splits.

Legend: N nodes, E edges.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.console import progress, stage
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.core.memory import BASE_BYTES, MemoryBudget
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.ids.collector import IdCollector
from hvdtma.graph.ingest.edge_file import EdgeFile, EdgeOptions, HeaderCheck
from hvdtma.graph.ingest.edges import open_edges
from hvdtma.graph.ingest.feature_rows import (
    FileRows,
    add_ids,
    nodes_of_rows,
    placed_matrix,
)
from hvdtma.graph.ingest.file_graph import FileGraph, matrix_bytes
from hvdtma.graph.ingest.given_splits import (
    GivenSplits,
    check_types_match,
    read_splits,
    take_splits,
)
from hvdtma.graph.ingest.labels import place_labels, read_labels
from hvdtma.graph.ingest.requirements import WHOLE_SHARE, IngestRequirement
from hvdtma.graph.raw import RawGraph, gather_rows, in_memory
from hvdtma.tables.columns import Names, check_num_types
from hvdtma.tables.features import FeatureFile, open_features


@dataclass(frozen=True)
class FileSource:
    """The files of a graph, and how to read them.

    Attributes:
        edges: CSV/TSV (plain or .gz), Parquet, NPY or NPZ; optional if `splits` is given.
        features: NPY, NPZ, Parquet or JSON.
        labels: CSV/TSV (plain or .gz).
        splits: NPZ, see `read_splits`.
        undirected: whether an edge stands for both directions.
        src_column, dst_column: the columns of sources and destinations; None: those with usual
            names (src, dst; source, target; ...), else the first two. Without a header the columns
            are named 1, 2, 3, ...
        type_column: the column of edge types.
        id_column: the id column of features in Parquet and of labels.
        label_column: the column of labels; None: the last.
        header: whether text files have a header: `auto`, `yes` or `no`.
        delimiter: of text files; None: detected.
        id_type: `int`, `str`, or `auto`: integers if both ids of the first edge are.

    The nodes are the ids with edges and the ids with features. With given pairs, the training edges
    are the train pairs and the `edges` between no pair of valid or test, in either direction.
    Without `edges`, all ids of the splits are nodes. The graph's `counts` have:

        nodes_without_edges, ids_without_features (set to zeros), nodes_without_label (set to -1)
        labels_of_unknown_ids (dropped), labels_repeated (the same label again)
        feature_columns_left_out (not numbers)
        edges_held_out (left out), held_out_pairs_in_train (kept in valid and test)
    """

    edges: str | Path | None = None
    features: str | Path | None = None
    labels: str | Path | None = None
    splits: str | Path | None = None
    undirected: bool = False
    src_column: str | None = None
    dst_column: str | None = None
    type_column: str | None = None
    id_column: str | None = None
    label_column: str | None = None
    header: str = "auto"
    delimiter: str | None = None
    id_type: str = "auto"

    def load(self) -> RawGraph:
        """The whole graph in memory; raises UserError for bad files."""
        return in_memory(self.open())

    def open(
        self,
        memory: MemoryBudget | None = None,
        folder: Path | None = None,
        options: BuildOptions | None = None,
    ) -> FileGraph:
        """Read the ids, and open the files for reading edges and large features later.

        Args:
            memory: the limit (None: half of the free memory).
            folder: for temporary files (None: the system's folder for temporary files).
            options: of the build that follows; its memory is checked too, once sizes are known.

        Raises UserError for bad files, and for too little memory.
        """
        memory = memory or MemoryBudget.limit(None)
        folder = folder or Path(tempfile.gettempdir())
        file, splits = self._edges_and_splits()
        features = self._features()
        if features is not None and features.sparse is not None:
            memory = memory.reserve(matrix_bytes(features.sparse))
        requirement = IngestRequirement(
            self.undirected,
            self.type_column is not None,
            self.labels is not None,
            features,
            splits,
            options,
        )
        known = features.shape[0] if features is not None else 0
        memory.available(requirement.required_bytes(known), "building a store of these files")
        strings = (
            splits.are_strings
            if file is None and splits is not None
            else bool(file and file.strings)
        )
        collector, names = IdCollector(strings, memory, folder), Names()
        num_edges = self._read_ids(file, splits, collector, names)
        if features is not None:
            add_ids(features, collector, strings)
        with stage("sorting ids"):
            table = collector.finish(lambda num: requirement.required_bytes(num, num_edges))
        pa.default_memory_pool().release_unused()
        type_names, _ = names.sorted()
        check_num_types(len(type_names))
        none = np.zeros(0, np.int64)
        graph = FileGraph(
            none,
            none,
            table.ids,
            none.astype(np.int16) if type_names else None,
            undirected=self.undirected,
            edge_type_names=type_names,
            origin=self._origin(),
            table=table,
            file=file,
            num_file_edges=num_edges,
        )
        if splits is not None:
            graph.held_out_key = take_splits(graph, splits, table, type_names)
        if features is not None:
            self._place_features(graph, features, memory, requirement)
        self._place_labels(graph)
        return graph

    def _features(self) -> FeatureFile | None:
        return (
            None
            if self.features is None
            else open_features(expanded(self.features), self.id_column)
        )

    def _edges_and_splits(self) -> tuple[EdgeFile | None, GivenSplits | None]:
        """Both with ids of one kind: that of `id_type`, else of the edges, else of the splits."""
        if self.edges is None and self.splits is None:
            raise UserError("a graph needs --edges, or --splits with train, valid and test pairs")
        options = EdgeOptions(**{f.name: getattr(self, f.name) for f in fields(EdgeOptions)})
        file = None if self.edges is None else open_edges(expanded(self.edges), options)
        if self.splits is None:
            return file, None
        splits = read_splits(expanded(self.splits))
        if file is None and not splits.num_pairs:
            raise UserError(f"'{self.splits}' holds a split of nodes only; give --edges too")
        if file is not None and splits.num_pairs:
            check_types_match(splits.path, file.typed, bool(splits.types))
        strings = splits.are_strings if file is None else file.strings
        if self.id_type != "auto":
            strings = self.id_type == "str"
        return file, splits.as_kind(strings)

    def _read_ids(
        self,
        file: EdgeFile | None,
        splits: GivenSplits | None,
        collector: IdCollector,
        names: Names,
    ) -> int:
        """Collect the ids and type names of edges and splits; return the number of edges."""
        for types in splits.types.values() if splits is not None else ():
            names.add(types)
        if file is None:
            for ids in splits.ids.values() if splits is not None else ():
                collector.add(ids)
            return 0
        header, num_edges = HeaderCheck(file), 0
        with progress(f"reading ids of {file.path.name}", None, "edges") as advance:
            for batch in file.batches():
                header.add(batch)
                collector.add(batch.src)
                collector.add(batch.dst)
                if batch.edge_type is not None:
                    names.add(batch.edge_type)
                num_edges += len(batch.src)
                advance(len(batch.src))
        if not num_edges:
            raise UserError(f"'{self.edges}' holds no edge")
        header.finish()
        collector.add_range(file.num_rows)
        return num_edges

    def _place_features(
        self,
        graph: FileGraph,
        features: FeatureFile,
        memory: MemoryBudget,
        requirement: IngestRequirement,
    ) -> None:
        """Set the features; in memory if they need less than a quarter of it."""
        nodes = nodes_of_rows(features, graph.table)
        graph.counts["ids_without_features"] = graph.num_nodes - features.shape[0]
        graph.counts["feature_columns_left_out"] = features.columns_left_out
        if features.sparse is not None:
            graph.feat = placed_matrix(features.sparse, nodes)
            return
        rows = FileRows(features, graph.table, nodes)
        graph.feat = rows
        num_bytes = graph.num_nodes * rows.shape[1] * rows.dtype.itemsize
        small = num_bytes <= (memory.num_bytes - BASE_BYTES - graph.reserved_bytes) // WHOLE_SHARE
        later = requirement.required_bytes(graph.num_nodes, graph.num_edges)
        if small and memory.fits(graph.table.num_bytes + num_bytes + later):
            graph.feat = gather_rows(rows)
        elif features.column_major:
            raise UserError(
                f"'{self.features}' is in column-major order, so it must fit in memory, but has "
                f"{num_bytes / 2**30:.1f} GiB; save it in row-major order (np.ascontiguousarray), "
                "or give a larger --memory-gb"
            )

    def _place_labels(self, graph: FileGraph) -> None:
        if self.labels is None:
            return
        pieces = read_labels(
            expanded(self.labels),
            id_column=self.id_column,
            label_column=self.label_column,
            header=self.header,
            delimiter=self.delimiter,
        )
        where = f"'{self.labels}'"
        graph.label, graph.label_names, counts = place_labels(pieces, graph.table, where)
        graph.counts |= counts

    def _origin(self) -> dict[str, object]:
        """The settings that differ from their defaults, for the provenance."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {f.name for f in fields(self) if given[f.name] != f.default}
        as_json = {
            k: str(v) if isinstance(v, Path) else v for k, v in given.items() if k in changed
        }
        return {"kind": "files"} | as_json
