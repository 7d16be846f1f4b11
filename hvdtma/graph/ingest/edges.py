"""Edges of any input: the columns of their ends, types, weights and times; checked rows.

Legend: E edges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.graph.ids.kind import TableIds, check_id_kind, id_expression
from hvdtma.graph.ingest.edge_arrays import ARRAYS, edge_arrays
from hvdtma.graph.ingest.node_tables import id_checks, missing_id, without_missing_words
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.ingest.times import NO_TIME_WORDS, check_kind_of_times, time_expression
from hvdtma.tables.columns import NUMBER_WITH_COMMA, number_in, usual_ends
from hvdtma.tables.database import Database, name, text
from hvdtma.tables.inputs import TABLE_FILES
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import Check, InputTable, Staged, open_table

_ROW_NAMES = (
    "id",
    "index",
    "idx",
    "row",
    "row_id",
    "rowid",
    "edge",
    "edge_id",
    "no",
    "nr",
    "number",
)
_LARGEST = float(np.finfo(np.float32).max)  # weights are stored as float32
_LEAST = float(np.finfo(np.float32).smallest_subnormal)


@dataclass(frozen=True)
class EdgeColumns:
    """The columns of edges in a table; None for those that edges do not have.

    Attributes:
        num_rows: the size of an adjacency matrix, whose nodes are 0 .. num_rows-1; else 0.
        content: the plural for messages.
    """

    table: InputTable
    src: str
    dst: str
    edge_type: str | None = None
    weight: str | None = None
    time: str | None = None
    num_rows: int = 0
    content: str = "edges"

    @property
    def chosen(self) -> list[str]:
        return [c for c in (self.src, self.dst, self.edge_type, self.weight, self.time) if c]

    @property
    def text(self) -> str:
        """The columns in words."""
        names = {"types": self.edge_type, "weights": self.weight, "times": self.time}
        more = [f"{what} '{column}'" for what, column in names.items() if column]
        if self.left_out:
            more.append(f"not read: {', '.join(self.left_out)}")
        return "; ".join([f"from '{self.src}' to '{self.dst}'", *more])

    @property
    def left_out(self) -> list[str]:
        """The columns that are not read."""
        return [column for column in self.table.names if column not in self.chosen]


@dataclass(frozen=True)
class EdgeRows:
    """Checked edges.

    Attributes:
        columns: where they come from.
        staged: the good rows.
        loose: see `TableIds`.
    """

    columns: EdgeColumns
    staged: Staged
    loose: bool = False

    @property
    def ends(self) -> list[TableIds]:
        """Both ends, as columns of ids."""
        table = self.columns.table
        return [
            TableIds(
                self.staged.sql, end, table.types[end], table.where, not table.is_text, self.loose
            )
            for end in (self.columns.src, self.columns.dst)
        ]

    def type_names(self) -> set[str]:
        """The names of the edge types."""
        column = self.columns.edge_type
        if column is None:
            return set()
        db, quoted = self.columns.table.db, name(column)
        kinds = f"SELECT DISTINCT CAST({quoted} AS VARCHAR) FROM {self.staged.sql}"
        return {kind for (kind,) in db.run(kinds)}

    def expressions(self, strings: bool) -> tuple[tuple[str, str], dict[str, str]]:
        """SQL of both ids, and of what else edges have: `edge_type`, `weight`, `time`."""
        table = self.columns.table
        src, dst = (
            id_expression(f"e.{name(end)}", table.types[end], strings, self.loose)
            for end in (self.columns.src, self.columns.dst)
        )
        others = {}
        if self.columns.edge_type is not None:
            others["edge_type"] = f"CAST(e.{name(self.columns.edge_type)} AS VARCHAR)"
        if self.columns.weight is not None:
            others["weight"] = f"CAST(e.{name(self.columns.weight)} AS DOUBLE)"
        if self.columns.time is not None:
            others["time"] = time_expression(
                f"e.{name(self.columns.time)}", table.types[self.columns.time]
            )
        return (src, dst), others


def open_edges(
    db: Database, given: Any, options: ReadOptions, content: str = "edges"
) -> EdgeColumns:
    """Open the edges of an argument and choose their columns; rows are not read yet.

    Args:
        content: the plural for messages: `edges`, or `pairs` that a model is asked about.

    Raises UserError for a missing file, an unknown ending or column, and a wrong shape or type.
    """
    named = (options.src_column, options.dst_column, options.type_column, options.weight_column,
             options.time_column)  # fmt: skip
    sizes: list[int] = []
    readers: dict[str, Callable[[Path], Any]] = {
        ending: lambda path: edge_arrays(path, sizes) for ending in ARRAYS
    }
    table = open_table(
        db,
        given,
        content,
        options.text,
        endings=[*TABLE_FILES, *ARRAYS],
        named=named,
        readers=readers,
    )
    src, dst = _ends(table, options, content)
    kind, weight = (None if c is None else table.column(c) for c in named[2:4])
    time = options.time_column if options.time_column in table.names else None
    columns = EdgeColumns(table, src, dst, kind, weight, time, max(sizes, default=0), content)
    for column in (src, dst, columns.edge_type):
        if column is not None:
            id_type = options.id_type if column in (src, dst) else "auto"
            check_id_kind(table.where, column, table.types[column], id_type)
    console.print(escape(f"{table.where}: {content} {columns.text}"), soft_wrap=True)
    return columns


def read_edges(columns: EdgeColumns, options: ReadOptions, bad: BadRows) -> EdgeRows:
    """Read and check the rows.

    Raises UserError for a bad row, unless bad rows are skipped: a missing id or type, a weight that
    is not positive and finite, a time that is none.
    """
    table = columns.table
    checks = [c for end in (columns.src, columns.dst) for c in id_checks(table, end, options)]
    if columns.edge_type is not None:
        checks.append(missing_id(table, columns.edge_type))
    if columns.weight is not None:
        column = f"CAST({name(columns.weight)} AS VARCHAR)"
        good = f"{number_in(column)} BETWEEN {_LEAST!r} AND {_LARGEST!r}"
        words = "has numbers with a comma; write them with a decimal point"
        with_comma = f"({good}) IS NOT TRUE AND {NUMBER_WITH_COMMA.format(column)}"
        checks.append(Check(with_comma, f"column '{columns.weight}' {words}"))
        checks.append(
            Check(
                f"({good}) IS NOT TRUE",
                f"weight '{columns.weight}' is not positive and finite in float32",
            )
        )
    if columns.time is not None:
        value = time_expression(name(columns.time), table.types[columns.time])
        checks.append(Check(f"{value} IS NULL", f"column '{columns.time}' {NO_TIME_WORDS}"))
    staged = table.stage(columns.chosen, checks, bad, multiline=False)
    named = [c for c in (columns.src, columns.dst, columns.edge_type) if c is not None]
    staged = without_missing_words(table, staged, named, options, bad)
    if not staged.num_rows:
        raise UserError(f"{table.where} holds no {columns.content}")
    if columns.time is not None:
        check_kind_of_times(table, staged.sql, columns.time)
    rows = EdgeRows(columns, staged, options.id_type == "int")
    if table.header_unsure:
        _check_header(rows)
    return rows


def _ends(table: InputTable, options: ReadOptions, content: str) -> tuple[str, str]:
    if options.src_column is not None and options.dst_column is not None:
        return table.column(options.src_column), table.column(options.dst_column)
    others = (options.type_column, options.weight_column, options.time_column)
    names = [column for column in table.named if column not in others]
    usual = usual_ends(names)
    if usual is not None:
        return usual
    index = [column for column in names if column in table.index]
    if len(index) > 1:  # as of a pandas frame whose index are the edges
        return index[0], index[1]
    if len(names) > 2:  # an index of one column numbers or names the rows
        names = [column for column in names if column not in index]
    if len(names) < 2:
        raise UserError(
            f"{table.where} has one column{'' if len(table.names) == 1 else ' for the ends'}, "
            f"'{(names or table.names)[0]}'; {content} need two columns"
        )
    if len(names) > 2 and names[0].strip().lower() in _ROW_NAMES:
        raise UserError(
            f"{table.where} has the columns {', '.join(names)}; '{names[0]}' may number the rows. "
            "Say which columns are the ends: --src-column and --dst-column"
        )
    return names[0], names[1]


def _check_header(rows: EdgeRows) -> None:
    """Raise UserError if the first line may be a header: none of its names is a node elsewhere."""
    table, (src, dst) = rows.columns.table, (rows.columns.src, rows.columns.dst)
    first = table.first_row
    names = [first[table.names.index(end)] for end in (src, dst)]
    db = table.db
    ends = [f"CAST({name(end)} AS VARCHAR)" for end in (src, dst)]
    one, other = map(text, names)
    again = db.value(  # in another row than one that repeats the first line
        f"SELECT count(*) FROM {rows.staged.sql} WHERE ({ends[0]} IN ({one}, {other}) OR "
        f"{ends[1]} IN ({one}, {other})) AND NOT ({ends[0]} = {one} AND {ends[1]} = {other})"
    )
    if again:
        return
    raise UserError(
        f"{table.where}: the first line, '{names[0]}' and '{names[1]}', may be a header or an "
        "edge; give --header yes or --header no"
    )
