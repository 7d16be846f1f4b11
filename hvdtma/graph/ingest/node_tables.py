"""The columns of ids in tables: which they are, and their checks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hvdtma.core.console import warn
from hvdtma.core.errors import UserError
from hvdtma.graph.ids.kind import TableIds, check_id_kind, id_expression
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.tables.columns import ID_NAMES, MISSING_SQL
from hvdtma.tables.database import Database, name
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import Check, InputTable, Staged

_ID_LIKE = re.compile(r"(^|[_ .-])(id|ID|Id)$|[a-z]I[dD]$")
_NUMBER = "regexp_full_match({0}, '[+-]?[0-9]+(\\.0*)?')"


def id_column_of(table: InputTable, options: ReadOptions, *, are_features: bool = False) -> str:
    """The id column: `id_column`, else one with a usual name, a named index, else the first.

    Args:
        are_features: whether a column of numbers may be a feature as well.

    Raises UserError for an unknown name, for a type that holds no ids, and if several columns may
    hold them.
    """
    column = options.id_column
    if column is None:
        usual = [each for each in table.names if each.lower() in ID_NAMES]
        column = usual[0] if usual else _guessed_id(table, are_features)
    table.column(column)
    check_id_kind(table.where, column, table.types[column], options.id_type)
    return column


def _guessed_id(table: InputTable, are_features: bool) -> str:
    """The index, or the first column; raises UserError if another one has a name like an id's."""
    if len(table.index) == 1:
        return table.index[0]
    first = table.names[0]
    others = [c for c in table.named if c != first and _ID_LIKE.search(c)]
    if others and first in table.named and not _ID_LIKE.search(first):
        raise UserError(
            f"{table.where} has the columns {', '.join(table.names)}; say which one holds the ids "
            f"of the nodes: --id-column {others[0]}, or --id-column {first}"
        )
    is_number = not _is_text(table.types[first]) and not _ID_LIKE.search(first)
    if are_features and table.has_unnamed_index and is_number and len(table.names) > 1:
        raise UserError(
            f"{table.where}: the ids may be in its index, which has no name, or in column '{first}'"
            f"; give frame.rename_axis('id'), or --id-column {first}"
        )
    return first


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


def without_missing_words(
    table: InputTable, staged: Staged, columns: Sequence[str], options: ReadOptions, bad: BadRows
) -> Staged:
    """The rows whose ids are no words for a missing value, such as `nan` and `NULL`.

    Such a word is a bad row if all other values of its column are whole numbers; among texts it is
    an id, and a warning counts it. With `id_type=str` it is an id in any case.

    Args:
        columns: those of ids, or of edge types.
    """
    for column in columns:
        if not _is_text(table.types[column]):
            continue
        words, others = _words_in(table.db, staged.sql, column)
        if words and others and options.id_type == "auto":
            value = f"CAST({name(column)} AS VARCHAR)"
            reason = (
                f"column '{column}' has a word for a missing value, but its other ids are whole "
                "numbers; --id-type str keeps such words as ids"
            )
            check = Check(f"lower({value}) IN ({MISSING_SQL})", reason)
            staged = table.without(staged, check, bad)
        elif words:
            _warn_of_words(table.where, column, words)
    return staged


def warn_of_missing_words(db: Database, ids: TableIds) -> None:
    """Print a warning if words for a missing value are among the ids of arrays."""
    if _is_text(ids.kind) and (words := _words_in(db, ids.sql, ids.column)[0]):
        _warn_of_words(ids.where, "", words)


def _is_text(kind: str) -> bool:
    return kind == "VARCHAR" or kind.startswith("ENUM")


def _words_in(db: Database, sql: str, column: str) -> tuple[dict[str, int], bool]:
    """The words for a missing value in a column, and whether all other values are numbers."""
    value = f"CAST({name(column)} AS VARCHAR)"
    is_word = f"lower({value}) IN ({MISSING_SQL})"
    found = db.run(
        f"SELECT {value}, count(*) FROM {sql} WHERE {is_word} AND {value} <> '' "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    if not found:
        return {}, False
    number = _NUMBER.format(value)
    others, numbers = db.run(
        f"SELECT count(*), count(*) FILTER ({number}) FROM {sql} WHERE NOT ({is_word})"
    )[0]
    return dict(found), 0 < others == numbers


def _warn_of_words(where: str, column: str, words: dict[str, int]) -> None:
    shown = ", ".join(f"'{word}' ({count:,} times)" for word, count in list(words.items())[:5])
    of = f"column '{column}' of {where}" if column else where
    warn(
        f"warning: {of} has {shown}, which may stand for missing values; they were read as ids or "
        "types. Remove such rows if they are none"
    )
