"""Labels from a table of text, and classes as whole numbers.

Legend: N nodes, R rows of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hvdtma.errors import UserError
from hvdtma.graph.ids import NodeIds
from hvdtma.graph.sources.files.columns import Column, as_kind, encode, position_of
from hvdtma.graph.sources.files.opening import suffix_of
from hvdtma.graph.sources.files.text_layout import find_layout
from hvdtma.graph.sources.files.text_table import Wanted, read_rows

LABEL_FILES = [".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"]


@dataclass(frozen=True)
class LabelTable:
    """Labels of the ids of a file: ids and label both large_string [R], a label may be null."""

    ids: Column
    label: Column


def read_labels(
    path: Path,
    *,
    id_column: str | None = None,
    label_column: str | None = None,
    header: str = "auto",
    delimiter: str | None = None,
) -> LabelTable:
    """Ids and labels of a CSV/TSV file; quoted fields may hold anything, line breaks too.

    The id column is `id_column`, else the first; the label is `label_column`, else the last. With
    `header="auto"` there is a header where a named column is in the first line or the first
    line's id is not an integer while the second's is; where all ids are text, say which it is.

    Raises UserError for a missing file, an unknown column, a bad line.
    """
    suffix_of(path, LABEL_FILES, "labels")
    layout = find_layout(
        path, named=(id_column, label_column), header=header, delimiter=delimiter, id_fields=1
    )
    if len(layout.names) < 2:
        raise UserError(
            f"'{path}' has one column, '{layout.names[0]}'; labels need an id column too"
        )
    where = f"'{path}'"
    id_position = 0 if id_column is None else position_of(id_column, layout.names, where)
    last = len(layout.names) - 1
    position = last if label_column is None else position_of(label_column, layout.names, where)
    wanted = [Wanted(id_position), Wanted(position, may_be_empty=True)]
    return LabelTable(*read_rows(path, layout, wanted, multiline=True))


def place_labels(
    table: LabelTable, node_id: NodeIds, where: str
) -> tuple[np.ndarray, list[str], dict[str, int]]:
    """Labels int64 [N] (-1: none), their names sorted, and counts.

    Labels of unknown ids are dropped, repeated ones merged. Raises UserError where an id has two
    different labels, and where no id is known.
    """
    ids = as_kind(table.ids, node_id.are_strings, where)
    position_R = node_id.lookup(ids)
    known_R = position_R >= 0
    if not known_R.any():
        first = f"its first id is '{table.ids[0]}'" if len(table.ids) else "it has no rows"
        raise UserError(f"{where}: none of its ids is in the graph ({first}); see --id-column")
    labelled_R = known_R & table.label.is_valid().to_numpy()
    names, (code,) = encode([table.label.filter(labelled_R)])
    position = position_R[labelled_R]
    label_N = np.full(len(node_id), -1, np.int64)
    label_N[position] = code
    conflict = np.flatnonzero(label_N[position] != code)
    if len(conflict):
        node = int(position[conflict[0]])
        raise UserError(
            f"{where}: node '{node_id[node]}' has the labels '{names[int(code[conflict[0]])]}' and "
            f"'{names[int(label_N[node])]}'; a node has one label"
        )
    counts = {
        "labels_of_unknown_ids": int((~known_R).sum()),
        "labels_repeated": len(position) - len(np.unique(position)),
        "nodes_without_label": int((label_N < 0).sum()),
    }
    return label_N, names, counts


def classes(values: np.ndarray, where: str) -> tuple[np.ndarray, list[str]]:
    """Labels int64 [N] and names from an array [N] or [N, 1] of classes; NaN and negatives: none.

    Raises UserError for several labels per node and for labels that are not whole numbers.
    """
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iufb":
        raise UserError(
            f"{where} has labels of shape {list(values.shape)} and type {values.dtype}; "
            "a node has one class, a whole number"
        )
    known = np.isfinite(values) & (values >= 0)
    if np.any(values[known] != np.floor(values[known])):
        raise UserError(f"{where} has labels that are not whole numbers")
    distinct, code = np.unique(values[known].astype(np.int64), return_inverse=True)
    label_N = np.full(len(values), -1, np.int64)
    label_N[known] = code
    return label_N, [str(name) for name in distinct]
