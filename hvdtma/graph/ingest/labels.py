"""Read labels from a text table.

Legend: N nodes, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.graph.ids.table import IdTable
from hvdtma.tables.columns import Column, Names, as_kind, position_of
from hvdtma.tables.opening import suffix_of
from hvdtma.tables.text_layout import find_layout
from hvdtma.tables.text_table import ColumnRequest, row_pieces

LABEL_FILES = [".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"]


class LabelPiece(NamedTuple):
    """Some rows of a label file: ids and labels, large_string [n]; a label may be null."""

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
    """Read the ids and labels of a CSV/TSV file, some rows at a time.

    Quoted fields may have line breaks. The id column is `id_column`, else the first; the label
    column is `label_column`, else the last. With `header="auto"` the first line is a header if it
    has a named column, or if its id is not an integer while that of the second line is. If all ids
    are text, `header` must be given.

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
    requests = [ColumnRequest(id_position), ColumnRequest(position, may_be_empty=True)]
    for columns in row_pieces(path, layout, requests, multiline=True):
        yield LabelPiece(*columns)


def place_labels(
    pieces: Iterable[LabelPiece], table: IdTable, where: str
) -> tuple[np.ndarray, list[str], dict[str, int]]:
    """Labels int64 [N] (-1: none), their sorted names, and counts.

    Labels of unknown ids are dropped, repeated labels merged. Raises UserError if an id has two
    different labels, and if all ids are unknown.
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
    label_N = np.append(place, -1)[label_N]  # -1 indexes the last value, -1
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
    """Set the labels of nodes; raises UserError for a node with two different labels."""
    before_n = label_N[position_n]
    label_N[position_n] = code_n
    for other_n in (before_n, label_N[position_n]):
        conflict = np.flatnonzero((other_n >= 0) & (other_n != code_n))
        if len(conflict):
            row = int(conflict[0])
            raise UserError(
                f"{where}: node '{table.ids[position_n[row]]}' has the labels "
                f"'{names[int(code_n[row])]}' and '{names[int(other_n[row])]}'; "
                "keep one of them"
            )
