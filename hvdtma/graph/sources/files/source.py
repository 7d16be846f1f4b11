"""A graph in files: edges, features, labels and splits, each in a format of the user's choice.

Legend: N nodes, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hvdtma.errors import UserError
from hvdtma.graph.ids import unify
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sources.files.columns import Column, are_strings
from hvdtma.graph.sources.files.edges import EdgeOptions, EdgeTable, read_edges
from hvdtma.graph.sources.files.features import FeatureTable, ids_of_rows, place_rows, read_features
from hvdtma.graph.sources.files.labels import place_labels, read_labels
from hvdtma.graph.sources.files.splits import GivenSplits, read_splits, set_types, take_splits


@dataclass(frozen=True)
class FileSource:
    """Where the files of a graph are, and how to read them.

    Attributes:
        edges: CSV/TSV (plain or .gz), Parquet, NPY or NPZ; may be left out beside `splits`.
        features: NPY, NPZ, Parquet or JSON.
        labels: CSV/TSV (plain or .gz).
        splits: NPZ, see `read_splits`.
        undirected: an edge stands for both directions.
        src_column, dst_column: columns of the edges' ends; without names the usual ones
            (src, dst; source, target; ...), else the first two. Where a file has no header its
            columns are called 1, 2, 3, ...
        type_column: column of the edges' types.
        id_column: of features in Parquet and of labels.
        label_column: of labels; without a name the last.
        header: whether text files have one: `auto`, `yes` or `no`.
        delimiter: of text files; None finds out.
        id_type: `int`, `str`, or `auto`: integers where the first edge's two ids are.

    Rules, each counted in `RawGraph.counts`:
        The nodes are the ids in edges and the ids with features; a node need not have an edge
        (`nodes_without_edges`), or features: then it gets zeros (`ids_without_features`).
        Labels of ids that are no nodes are dropped (`labels_of_unknown_ids`); a node without a
        label gets -1 (`nodes_without_label`); the same label given again is `labels_repeated`.
        Columns of features that are not numbers are left out (`feature_columns_left_out`).
        With given pairs the edges to train on are the train pairs and, of `edges`, those between
        no pair of valid or test, in either direction (the others: `edges_held_out`). Valid and
        test pairs that are also train pairs stay (`held_out_pairs_in_train`). Without `edges`
        every id of the splits is a node.
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
        """Read everything; raises UserError for whatever is wrong with the files."""
        edges, splits = self._edges_and_splits()
        columns = _ids_without_features(edges, splits)
        features = None
        if self.features is not None:
            features = read_features(Path(self.features), self.id_column)
            columns.append(ids_of_rows(features, columns, f"'{self.features}'"))
        node_id, positions = unify(*columns)
        none = np.zeros(0, np.int64)
        src, dst = (none, none) if edges is None else positions[:2]
        raw = RawGraph(src, dst, node_id, self.undirected, source=self._given())
        types = None if edges is None else edges.edge_type
        if splits is None:
            set_types(raw, types)
        else:
            take_splits(raw, types, splits)
        if features is not None:
            self._place_features(raw, features, positions)
        self._place_labels(raw)
        has_edge_N = _nodes_in(raw.num_nodes, raw.src, raw.dst)
        raw.counts["nodes_without_edges"] = int((~has_edge_N).sum())
        return raw

    def _edges_and_splits(self) -> tuple[EdgeTable | None, GivenSplits | None]:
        """Both with ids of one kind: as `id_type` says, else as the edges', else the splits'."""
        if self.edges is None and self.splits is None:
            raise UserError("a graph needs --edges, or --splits with train, valid and test pairs")
        options = EdgeOptions(**{f.name: getattr(self, f.name) for f in fields(EdgeOptions)})
        edges = None if self.edges is None else read_edges(Path(self.edges), options)
        if edges is not None and not len(edges.src):
            raise UserError(f"'{self.edges}' holds no edge")
        if self.splits is None:
            return edges, None
        splits = read_splits(Path(self.splits))
        if edges is None and not splits.num_pairs:
            raise UserError(f"'{self.splits}' holds a split of nodes only; give --edges beside it")
        strings = splits.are_strings if edges is None else are_strings(edges.src)
        if self.id_type != "auto":
            strings = self.id_type == "str"
        return edges, splits.as_kind(strings)

    def _place_features(
        self, raw: RawGraph, features: FeatureTable, positions: list[np.ndarray]
    ) -> None:
        """`positions` are those of the graph's columns of ids and, last, of the features' ids."""
        *others, node_R = positions
        if not _nodes_in(raw.num_nodes, *others)[node_R].any():
            raise UserError(
                f"'{self.features}': none of its ids is in the graph: its first is "
                f"'{raw.node_id[node_R[0]]}', the graph's '{raw.node_id[others[0][0]]}'; "
                "see --id-column"
            )
        raw.feat, missing = place_rows(features.feat, node_R, raw.num_nodes)
        raw.counts["ids_without_features"] = missing
        raw.counts["feature_columns_left_out"] = features.columns_left_out

    def _place_labels(self, raw: RawGraph) -> None:
        if self.labels is None:
            return
        table = read_labels(
            Path(self.labels),
            id_column=self.id_column,
            label_column=self.label_column,
            header=self.header,
            delimiter=self.delimiter,
        )
        where = f"'{self.labels}'"
        raw.label, raw.label_names, counts = place_labels(table, raw.node_id, where)
        raw.counts |= counts

    def _given(self) -> dict[str, object]:
        """For the provenance: what was not left at its default."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {f.name for f in fields(self) if given[f.name] != f.default}
        as_json = {
            k: str(v) if isinstance(v, Path) else v for k, v in given.items() if k in changed
        }
        return {"kind": "files"} | as_json


def _ids_without_features(edges: EdgeTable | None, splits: GivenSplits | None) -> list[Column]:
    """Columns that hold every id of the graph but those only its features have."""
    if edges is not None:
        columns = [edges.src, edges.dst, edges.nodes]
        return [column for column in columns if column is not None]
    return [] if splits is None else list(splits.ids.values())


def _nodes_in(num_nodes: int, *positions: np.ndarray) -> np.ndarray:
    """Mask bool [N] of the nodes that occur in any of the arrays."""
    mask_N = np.zeros(num_nodes, bool)
    for nodes in positions:
        mask_N[nodes] = True
    return mask_N
