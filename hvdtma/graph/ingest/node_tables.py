"""The columns of ids in tables: which they are, and their checks."""

from __future__ import annotations

from hvdtma.graph.ids.kind import TableIds, check_id_kind, id_expression
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


def missing_id(table: InputTable, column: str) -> Check:
    """The check for rows without an id, or without another name."""
    quoted = name(column)
    words = f"column '{column}' is empty" if table.is_text else f"has no id in column '{column}'"
    return Check(f"{quoted} IS NULL OR CAST({quoted} AS VARCHAR) = ''", words)


def id_checks(table: InputTable, column: str, options: ReadOptions) -> list[Check]:
    """The checks for ids that are missing, or are no integers though `id_type` says so."""
    checks = [missing_id(table, column)]
    if options.id_type == "int":
        number = id_expression(name(column), table.types[column], False, True)
        words = f"column '{column}' is not an integer of 64 bits"
        checks.append(
            Check(f"{number} IS NULL", f"{words}; if the ids are text, give --id-type str")
        )
    return checks


def ids_in(table: InputTable, staged: Staged, id_column: str, options: ReadOptions) -> TableIds:
    """The ids of the rows that were read."""
    kind, loose = table.types[id_column], options.id_type == "int"
    return TableIds(staged.sql, id_column, kind, table.where, loose=loose)
