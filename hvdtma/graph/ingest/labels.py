"""Labels from tables: classes, several labels per node, or real targets.

Legend: N nodes, R rows, C labels, T targets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape

from hvdtma.core.console import console, warn
from hvdtma.core.errors import UserError
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.label_columns import USUAL, inspect, label_columns
from hvdtma.graph.ingest.node_tables import (
    id_column_of,
    ids_in,
    missing_id,
    without_missing_words,
)
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.ingest.times import NO_TIME_WORDS, check_kind_of_times, time_expression
from hvdtma.graph.label_values import kind_of_labels, targets_of
from hvdtma.graph.source import NO_TIME
from hvdtma.graph.targets import NO_CLASS, UNKNOWN
from hvdtma.tables.columns import MISSING_SQL, positions, sorted_names
from hvdtma.tables.database import Database, name
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import Check, InputTable, Staged, open_table

_MISSING = {"class": NO_CLASS, "multi": UNKNOWN, "real": np.nan}


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
    checks = [missing_id(table, opened.id_column)]
    if time is not None:
        checks.append(_unread_time(table, time))
    staged = table.stage(chosen, checks, bad, multiline=True)
    staged = without_missing_words(table, staged, [opened.id_column], options, bad)
    if not staged.num_rows:
        raise UserError(
            f"{table.where}: none of its ids is in the graph (it has no rows); see --id-column"
        )
    ids = ids_in(table, staged, opened.id_column, options)
    position_R = nodes.positions(ids).astype(np.int64)
    near = nodes.nearly_found(ids, position_R)
    _refuse_or_warn(near, table.where, options)
    if not (position_R >= 0).any():
        first = db.value(f"SELECT {name(ids.column)} FROM {staged.sql} LIMIT 1")
        raise UserError(
            f"{table.where}: none of its ids is in the graph (its first id is '{first}', that of "
            f"the graph '{nodes.ids[0]}'); see --id-column"
        )
    row_RC, names, kind = _values(table, staged, opened.columns, options)
    if kind == "class":
        row_RC, names = _classes_of_nodes(row_RC, names, position_R, table.where)
        _warn_of_near_classes(names, table.where)
    missing = _MISSING[kind]

    def shown(row: np.ndarray) -> str:
        return names[int(row[0])] if kind == "class" else str(row.tolist())

    label, repeated = _placed(row_RC, position_R, missing, nodes, "labels", shown, table.where)
    counts = {
        **staged.counts,
        "labels_of_unknown_ids": int((position_R < 0).sum()),
        "labels_repeated": repeated,
        "nodes_without_label": int((~_known(label, missing).any(1)).sum()),
    }
    time_N = None
    if time is not None:
        time_N = _times(table, staged, time, position_R, nodes)
        counts["nodes_without_time"] = int((time_N == NO_TIME).sum())
    label = label[:, 0] if kind == "class" else label
    return Labels(label, names, kind, counts, staged.num_rows, time_N)


def _refuse_or_warn(near: dict[str, tuple[int, str]], where: str, options: ReadOptions) -> None:
    """Raise UserError for ids that miss the graph by a decimal point; warn of other near ones."""
    for way, (number, example) in near.items():
        if way == "a decimal point" and options.id_type == "auto":
            raise UserError(
                f"{where}: {number:,} ids, such as '{example}', differ from ids of the graph only "
                f"by {way}. Give --id-type int to read them as integers, or --id-type str to keep "
                "them as they are written"
            )
        warn(
            f"warning: {number:,} ids of {where}, such as {example!r}, differ from ids of the "
            f"graph only by {way}; their labels are dropped"
        )


def _classes_of_nodes(
    row_RC: np.ndarray, names: list[str], position_R: np.ndarray, where: str
) -> tuple[np.ndarray, list[str]]:
    """Classes without those that only unknown ids have; raises UserError if none is left."""
    used = np.unique(row_RC[position_R >= 0])
    used = used[used >= 0].astype(np.int64)
    if not len(used):
        raise UserError(f"{where}: no id of the graph has a label")
    if len(used) == len(names):
        return row_RC, names
    place = np.full(len(names) + 1, NO_CLASS, np.int64)  # the last one is that of no class
    place[used] = np.arange(len(used))
    return place[row_RC], [names[at] for at in used]


def _warn_of_near_classes(names: list[str], where: str) -> None:
    """Print a warning of two classes whose names differ in the way of writing only."""
    written: dict[str, str] = {}
    for name_ in names:
        plain = re.sub(r"^([+-]?)0+(?=\d)", r"\1", " ".join(name_.lower().split()))
        plain = re.sub(r"^([+-]?\d+)\.0*$", r"\1", plain)
        other = written.setdefault(unicodedata.normalize("NFKC", plain), name_)
        if other != name_:
            warn(
                f"warning: the labels {other!r} and {name_!r} of {where} differ only in the way "
                "they are written; they are two classes"
            )
            return


def _unread_time(table: InputTable, column: str) -> Check:
    """The check for times that are neither missing nor can be read."""
    quoted = name(column)
    missing = f"{quoted} IS NULL OR lower(CAST({quoted} AS VARCHAR)) IN ({MISSING_SQL})"
    return Check(
        f"{time_expression(quoted, table.types[column])} IS NULL AND NOT ({missing})",
        f"column '{column}' {NO_TIME_WORDS}",
    )


def _times(
    table: InputTable, staged: Staged, column: str, position_R: np.ndarray, nodes: NodeTable
) -> np.ndarray:
    """The times of the nodes, int64 [N]; raises UserError for a node with two times."""
    check_kind_of_times(table, staged.sql, column)
    time = time_expression(name(column), table.types[column])
    batches = table.db.batches(f"SELECT coalesce({time}, {NO_TIME}) FROM {staged.sql}")
    time_R = np.concatenate([batch.column(0).to_numpy() for batch in batches])
    placed = (time_R[:, None], position_R, NO_TIME, nodes, "times", str, table.where)
    return _placed(*placed)[0][:, 0]


def _values(
    table: InputTable, staged: Staged, columns: list[str], options: ReadOptions
) -> tuple[np.ndarray, list[str], str]:
    """The labels [R, C] in the form of their kind, their names, and the kind."""
    db = table.db
    found = [inspect(table, staged, column, options) for column in columns]
    where = table.where if len(columns) > 1 else f"column '{columns[0]}' of {table.where}"
    if not any(column.facts.known for column in found):
        raise UserError(f"{where} holds no label")
    given = None if options.label_kind == "auto" else options.label_kind
    kind = kind_of_labels([column.facts for column in found], where, given)
    if kind == "class" and len(found) == 1:
        class_name = f"SELECT {found[0].class_name} AS name FROM {staged.sql}"
        distinct = db.run(f"SELECT DISTINCT name FROM ({class_name}) WHERE name IS NOT NULL")
        names = sorted_names([class_ for (class_,) in distinct])
        codes = [positions(batch.column(0), names) for batch in db.batches(class_name)]
        return np.concatenate(codes)[:, None], names, kind
    numbers = ", ".join(f"{column.number} AS v{at}" for at, column in enumerate(found))
    pieces = [
        np.stack([c.to_numpy(zero_copy_only=False) for c in batch.columns], 1).astype(np.float64)
        for batch in db.batches(f"SELECT {numbers} FROM {staged.sql}")
    ]
    label, names_of_columns, kind = targets_of(
        np.concatenate(pieces), where, kind=kind, names=columns
    )
    return label.reshape(staged.num_rows, -1), names_of_columns, kind


def _known(values: np.ndarray, missing: float) -> np.ndarray:
    return ~np.isnan(values) if np.isnan(missing) else values != missing


def _placed(
    row_RC: np.ndarray,
    position_R: np.ndarray,
    missing: float,
    nodes: NodeTable,
    content: str,
    shown: Callable[[np.ndarray], str],
    where: str,
) -> tuple[np.ndarray, int]:
    """Values [N, C] of the nodes, and the number of repeated ones.

    Raises UserError for a node with two different values, which `shown` turns into words.
    """
    value_NC = np.full((len(nodes), row_RC.shape[1]), missing, row_RC.dtype)
    rows = np.flatnonzero((position_R >= 0) & _known(row_RC, missing).any(1))
    position, value = position_R[rows], row_RC[rows]
    value_NC[position] = value
    kept = value_NC[position]
    differs = ((kept != value) & ~(np.isnan(kept) & np.isnan(value))).any(1)
    if differs.any():
        at = int(np.argmax(differs))
        raise UserError(
            f"{where}: node '{nodes.ids[position[at]]}' has the {content} '{shown(value[at])}' "
            f"and '{shown(kept[at])}'; keep one of them"
        )
    return value_NC, len(rows) - len(np.unique(position))
