"""The ids of tables with a row per node: features and labels."""

from __future__ import annotations

from hvdtma.graph.ids.kind import TableIds, check_id_kind
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.tables.columns import ID_NAMES
from hvdtma.tables.database import name
from hvdtma.tables.table import Check, InputTable, Staged


def id_column_of(table: InputTable, options: ReadOptions) -> str:
    """The id column: `id_column`, else one with a usual name, else the first.

    Raises UserError for an unknown name, and for a type that holds no ids.
    """
    column = options.id_column
    if column is None:
        usual = (each for each in table.names if each.lower() in ID_NAMES)
        column = next(usual, table.names[0])
    table.column(column)
    check_id_kind(table.where, column, table.types[column], options.id_type)
    return column


def missing_id(table: InputTable, id_column: str) -> Check:
    """The check for rows without an id."""
    quoted = name(id_column)
    words = f"column '{id_column}' is empty" if table.is_text else "has no id"
    return Check(f"{quoted} IS NULL OR CAST({quoted} AS VARCHAR) = ''", words)


def ids_in(table: InputTable, staged: Staged, id_column: str, options: ReadOptions) -> TableIds:
    """The ids of the rows that were read."""
    kind, loose = table.types[id_column], options.id_type == "int"
    return TableIds(staged.sql, id_column, kind, table.where, loose=loose)
