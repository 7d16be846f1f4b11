"""The columns of ids in tables: which they are, and their checks."""

from __future__ import annotations

from hvdtma.graph.ids.kind import TableIds, check_id_kind, id_expression
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.tables.columns import ID_NAMES, MISSING_WORDS
from hvdtma.tables.database import name, text
from hvdtma.tables.table import Check, InputTable, Staged

_MISSING = ", ".join(text(word) for word in MISSING_WORDS if word)  # empty ids are bad rows anyway


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


def missing_word_checks(table: InputTable, column: str, options: ReadOptions) -> list[Check]:
    """The checks for ids that are a word for a missing value, such as `nan` or `NULL`.

    Such ids are bad rows if all others are whole numbers. If not, they may be names, and a warning
    counts them. With `id_type=str` they are ids as others are; with `int` they are no integers.
    """
    if options.id_type != "auto" or not _is_text(table.types[column]):
        return []
    quoted = f"CAST({name(column)} AS VARCHAR)"
    missing = f"lower({quoted}) IN ({_MISSING})"
    number = f"regexp_full_match({quoted}, '[+-]?[0-9]+([.]0*)?')"
    none = f"coalesce({quoted}, '') = ''"
    return [
        Check(
            missing,
            f"column '{column}' has a word for a missing value, and all other ids are whole "
            "numbers; --id-type str keeps it as an id",
            only_if=f"bool_or({number}) AND bool_and({number} OR {missing} OR {none})",
            else_warn=f"have an id in column '{column}' that may stand for a missing value",
            example=quoted,
        )
    ]


def missing_type_checks(table: InputTable, column: str) -> list[Check]:
    """The warning of types that are a word for a missing value."""
    if not _is_text(table.types[column]):
        return []
    quoted = f"CAST({name(column)} AS VARCHAR)"
    words = f"have a type in column '{column}' that may stand for a missing value"
    return [Check(f"lower({quoted}) IN ({_MISSING})", "", "false", else_warn=words, example=quoted)]


def _is_text(kind: str) -> bool:
    return kind == "VARCHAR" or kind.startswith("ENUM")


def id_checks(table: InputTable, column: str, options: ReadOptions) -> list[Check]:
    """The checks for ids that are missing, or are no integers though `id_type` says so."""
    checks = [missing_id(table, column), *missing_word_checks(table, column, options)]
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
