"""Open a graph in tables: edges, features, labels and splits.

Legend: N nodes, E edges.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES, MemoryBudget
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.ingest.file_graph import FileGraph
from hvdtma.graph.ingest.opening import Opening
from hvdtma.graph.ingest.options import GraphInputs
from hvdtma.graph.raw import RawGraph, in_memory
from hvdtma.tables.database import Database


@dataclass(frozen=True)
class FileSource(GraphInputs):
    """The inputs of a graph, and how to read them.

    Each input is a file, a folder of parts, a glob, a query `sql:SELECT ...`, an object with
    columns (an Arrow table, a pandas or Polars frame, a DuckDB relation), or a list of these.

    Attributes:
        edges: CSV or TSV (plain, .gz or .zst), Parquet, JSON lines, NPY or NPZ; optional if
            `splits` is given.
        features: Parquet, CSV or TSV, JSON lines, NPY, NPZ, or JSON lists of feature ids.
        labels: CSV or TSV, Parquet, JSON lines.
        splits: NPZ, or a table with a column `split`; see `read_splits`.
        undirected: whether an edge stands for both directions.
        src_column, dst_column: the columns of sources and destinations; None: those with usual
            names (src, dst; source, target; ...), else the first two. Without a header the columns
            are named 1, 2, 3, ...
        type_column: the column of edge types.
        weight_column: the column of edge weights, positive and finite.
        time_column: the column of times of edges, or of nodes in the labels: integers, dates.
        id_column: the id column of features, labels and splits of nodes.
        label_column: the column of labels; None: the one with a usual name, else the only one.
            Several columns are several labels (0 and 1) or several targets.
        label_kind: class, multi, real, or auto: numbers with fractions are targets of regression.
        missing_labels: whether words such as NA and negative numbers are no label.
        feature_columns, drop_columns: the columns of features to take, or to leave out.
        fill_missing: missing features are an `error`, become `zero` or their column's `mean`.
        header, delimiter, quote, comment: of text files, see `TextOptions`.
        id_type: `int`, `str`, or `auto`: integers if every id is written as one.
        bad_rows: a bad row is an `error`, or bad rows are left out (`skip`), counted and shown.
        bad_rows_file: where to write the rows that were skipped, as CSV.

    The nodes are the ids with edges and the ids with features. With given pairs, the training edges
    are the train pairs and the `edges` between no pair of valid or test, in either direction.
    Without `edges`, all ids of the splits are nodes.
    """

    def load(self) -> RawGraph:
        """The whole graph in memory; raises UserError for bad inputs."""
        with closing(self.open()) as graph:
            return in_memory(graph)

    def open(
        self,
        memory: MemoryBudget | None = None,
        folder: Path | None = None,
        options: BuildOptions | None = None,
    ) -> FileGraph:
        """Read the ids, and open the inputs for reading edges and large features later.

        All headers and schemas are read before the rows of any input.

        Args:
            memory: the limit (None: half of the free memory).
            folder: for temporary files (None: the system's folder for temporary files).
            options: of the build that follows; its memory is checked too, once sizes are known.

        Raises UserError for bad inputs, and for too little memory.
        """
        memory = memory or MemoryBudget.limit(None)
        folder = folder or Path(tempfile.gettempdir())
        db = Database(memory.num_bytes - BASE_BYTES - LEAST_WORK_BYTES, folder)
        try:
            return Opening(self, db, memory, options).graph()
        except BaseException:
            db.close()
            raise
