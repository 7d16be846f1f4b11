"""Labels from tables: classes, several labels per node, or real targets.

Legend: N nodes, R rows, C labels, T targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.edges import time_expression
from hvdtma.graph.ingest.label_columns import (
    USUAL,
    LabelColumn,
    inspect,
    kind_of_labels,
    label_columns,
)
from hvdtma.graph.ingest.node_tables import id_column_of, ids_in, missing_id
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.source import NO_TIME
from hvdtma.graph.targets import UNKNOWN
from hvdtma.tables.columns import Names
from hvdtma.tables.database import Database, name
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import InputTable, Staged, open_table

SHOWN_CLASSES = 12


@dataclass(frozen=True)
class Labels:
    """The labels of the nodes; see `Source`.

    Attributes:
        label: [N] or [N, C], by kind.
        names: of the classes, labels or targets.
        kind: class, multi or real.
        counts: notes for the build's report.
        num_rows: R.
        time: int64 [N] times of the nodes, `NO_TIME` where there is none; or None.
    """

    label: np.ndarray
    names: list[str]
    kind: str
    counts: dict[str, int]
    num_rows: int
    time: np.ndarray | None = None


@dataclass(frozen=True)
class LabelTable:
    """An opened table of labels, with its columns chosen; rows are not read yet."""

    table: InputTable
    id_column: str
    columns: list[str]


def open_labels(db: Database, given: Any, options: ReadOptions) -> LabelTable:
    """Open the labels of an argument and choose the columns."""
    named = (options.id_column, *options.label_columns, *USUAL)
    table = open_table(db, given, "labels", options.text, named=named, id_fields=1)
    table.check_header()
    id_column = id_column_of(table, options)
    columns = label_columns(table, id_column, options)
    shown = ", ".join(f"'{column}'" for column in columns)
    console.print(escape(f"{table.where}: labels from {shown} by '{id_column}'"), soft_wrap=True)
    return LabelTable(table, id_column, columns)


def read_labels(opened: LabelTable, nodes: NodeTable, options: ReadOptions, bad: BadRows) -> Labels:
    """Read labels and place them at their nodes.

    Labels of unknown ids are dropped, repeated ones merged. Raises UserError if an id has two
    different labels, and if all ids are unknown.
    """
    table, db = opened.table, opened.table.db
    time = options.time_column if options.time_column in table.names else None
    chosen = [opened.id_column, *opened.columns, *([time] if time else [])]
    staged = table.stage(chosen, [missing_id(table, opened.id_column)], bad, multiline=True)
    if not staged.num_rows:
        raise UserError(
            f"{table.where}: none of its ids is in the graph (it has no rows); see --id-column"
        )
    columns = [inspect(db, table, staged, column, options) for column in opened.columns]
    kind = kind_of_labels(columns, table.where, options)
    ids = ids_in(table, staged, opened.id_column, options)
    position_R = nodes.positions(ids).astype(np.int64)
    if not (position_R >= 0).any():
        first = db.value(f"SELECT {name(ids.column)} FROM {staged.sql} LIMIT 1")
        raise UserError(
            f"{table.where}: none of its ids is in the graph (its first id is '{first}', that of "
            f"the graph '{nodes.ids[0]}'); see --id-column"
        )
    values = _Values(db, staged, columns)
    if kind == "class":
        label_R, names = values.classes()
        row_RC, missing = label_R[:, None], -1.0
    else:
        names = opened.columns
        row_RC, missing = values.numbers(kind), UNKNOWN if kind == "multi" else np.nan
    label, repeated = _placed(row_RC, position_R, missing, nodes, names, kind, table.where)
    labelled = _known(label, missing).any(1)
    counts = {
        **staged.counts,
        "labels_of_unknown_ids": int((position_R < 0).sum()),
        "labels_repeated": repeated,
        "nodes_without_label": int((~labelled).sum()),
    }
    time_N = None if time is None else _times(table, staged, time, position_R, len(nodes))
    if kind == "class":
        label = label[:, 0]
        _say_classes(label, names, table.where)
    return Labels(label, names, kind, counts, staged.num_rows, time_N)


def _times(
    table: InputTable, staged: Staged, column: str, position_R: np.ndarray, num_nodes: int
) -> np.ndarray:
    """The times of the nodes, int64 [N]."""
    value = time_expression(name(column), table.types[column])
    pieces = [np.zeros(0, np.int64)]
    for batch in table.db.batches(f"SELECT coalesce({value}, {NO_TIME}) FROM {staged.sql}"):
        pieces.append(batch.column(0).to_numpy())
    time_N = np.full(num_nodes, NO_TIME, np.int64)
    known_R = position_R >= 0
    time_N[position_R[known_R]] = np.concatenate(pieces)[known_R]
    return time_N


@dataclass(frozen=True)
class _Values:
    """Reads the values of columns of labels, in the order of the rows."""

    db: Database
    staged: Staged
    columns: list[LabelColumn]

    def classes(self) -> tuple[np.ndarray, list[str]]:
        """The classes int64 [R], -1 for none, and their sorted names."""
        found, codes = Names(), [np.zeros(0, np.int64)]
        for batch in self.db.batches(f"SELECT {self.columns[0].known} FROM {self.staged.sql}"):
            column = batch.column(0)
            known = column.is_valid().to_numpy(zero_copy_only=False)
            code = np.full(len(column), -1, np.int64)
            code[known] = found.add(column.drop_null())
            codes.append(code)
        names, place = found.sorted()
        return np.append(place, -1)[np.concatenate(codes)], names

    def numbers(self, kind: str) -> np.ndarray:
        """uint8 [R, C] or float64 [R, T], the missing ones as `UNKNOWN` or NaN."""
        sql = ", ".join(f"{column.number} AS v{at}" for at, column in enumerate(self.columns))
        pieces = [np.zeros((0, len(self.columns)))]
        for batch in self.db.batches(f"SELECT {sql} FROM {self.staged.sql}"):
            pieces.append(np.stack([c.to_numpy(zero_copy_only=False) for c in batch.columns], 1))
        values = np.concatenate(pieces).astype(np.float64)
        if kind == "real":
            return values
        return np.where(np.isnan(values), UNKNOWN, values).astype(np.uint8)


def _known(values: np.ndarray, missing: float) -> np.ndarray:
    return ~np.isnan(values) if np.isnan(missing) else values != missing


def _placed(
    row_RC: np.ndarray,
    position_R: np.ndarray,
    missing: float,
    nodes: NodeTable,
    names: list[str],
    kind: str,
    where: str,
) -> tuple[np.ndarray, int]:
    """Labels [N, C] and the number of repeated ones; raises UserError for two labels of a node."""
    label_NC = np.full((len(nodes), row_RC.shape[1]), missing, row_RC.dtype)
    rows = np.flatnonzero((position_R >= 0) & _known(row_RC, missing).any(1))
    position, value = position_R[rows], row_RC[rows]
    label_NC[position] = value
    kept = label_NC[position]
    differs = ((kept != value) & ~(np.isnan(kept) & np.isnan(value))).any(1)
    if differs.any():
        at = int(np.argmax(differs))
        pair = [names[int(v[0])] if kind == "class" else v.tolist() for v in (value[at], kept[at])]
        raise UserError(
            f"{where}: node '{nodes.ids[position[at]]}' has the labels '{pair[0]}' and "
            f"'{pair[1]}'; keep one of them"
        )
    return label_NC, len(rows) - len(np.unique(position))


def _say_classes(label_N: np.ndarray, names: list[str], where: str) -> None:
    """Print the classes with their sizes, the largest first."""
    sizes = np.bincount(label_N[label_N >= 0], minlength=len(names))
    order = np.argsort(-sizes, kind="stable")[:SHOWN_CLASSES]
    shown = ", ".join(f"{names[code]} {sizes[code]:,}" for code in order)
    more = f" and {len(names) - len(order)} more" if len(names) > len(order) else ""
    console.print(escape(f"{where}: {len(names)} classes: {shown}{more}"), soft_wrap=True)
