"""Labels from a table of text, and classes as whole numbers.

Legend: N nodes, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest.ids.table import IdTable
from hvdtma.tables.columns import Column, Names, as_kind, position_of
from hvdtma.tables.opening import suffix_of
from hvdtma.tables.text_layout import find_layout
from hvdtma.tables.text_table import ColumnRequest, row_pieces

LABEL_FILES = [".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"]


class LabelPiece(NamedTuple):
    """Labels of some ids of a file: ids and label both large_string [n], a label may be null."""

    ids: Column
    label: Column


def read_labels(
    path: Path,
    *,
    id_column: str | None = None,
    label_column: str | None = None,
    header: str = "auto",
    delimiter: str | None = None,
) -> Iterator[LabelPiece]:
    """Ids and labels of a CSV/TSV file, some rows at a time.

    Quoted fields may hold anything, line breaks too.

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
    wanted = [ColumnRequest(id_position), ColumnRequest(position, may_be_empty=True)]
    for columns in row_pieces(path, layout, wanted, multiline=True):
        yield LabelPiece(*columns)


def place_labels(
    pieces: Iterable[LabelPiece], table: IdTable, where: str
) -> tuple[np.ndarray, list[str], dict[str, int]]:
    """Labels int64 [N] (-1: none), their names sorted, and counts.

    Labels of unknown ids are dropped, repeated ones merged. Raises UserError where an id has two
    different labels, and where no id is known.
    """
    label_N = np.full(len(table.ids), -1, np.int64)
    found = Names()
    num_rows = num_known = num_labelled = 0
    first = "it has no rows"
    for ids, label in pieces:
        first = first if num_rows else f"its first id is '{ids[0]}'"
        position_n = table.lookup(as_kind(ids, table.ids.are_strings, where))
        known_n = position_n >= 0
        labelled_n = known_n & label.is_valid().to_numpy()
        code = found.add(label.filter(pa.array(labelled_n)))
        position = position_n[labelled_n]
        _set_labels(label_N, position, code, table, list(found.number), where)
        num_rows += len(ids)
        num_known += int(known_n.sum())
        num_labelled += len(position)
    if not num_known:
        raise UserError(f"{where}: none of its ids is in the graph ({first}); see --id-column")
    names, place = found.sorted()
    without = int((label_N < 0).sum())
    label_N = np.append(place, -1)[label_N]  # -1, the last, stays what it is
    counts = {
        "labels_of_unknown_ids": num_rows - num_known,
        "labels_repeated": num_labelled - (len(label_N) - without),
        "nodes_without_label": without,
    }
    return label_N, names, counts


def _set_labels(
    label_N: np.ndarray,
    position_n: np.ndarray,
    code_n: np.ndarray,
    table: IdTable,
    names: list[str],
    where: str,
) -> None:
    """Write codes where they belong; raises UserError where another one is or comes too."""
    before_n = label_N[position_n]
    label_N[position_n] = code_n
    for other_n in (before_n, label_N[position_n]):
        conflict = np.flatnonzero((other_n >= 0) & (other_n != code_n))
        if len(conflict):
            row = int(conflict[0])
            raise UserError(
                f"{where}: node '{table.ids[position_n[row]]}' has the labels "
                f"'{names[int(code_n[row])]}' and '{names[int(other_n[row])]}'; "
                "a node has one label"
            )


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
