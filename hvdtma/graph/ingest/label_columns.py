"""Which columns of a table are labels, and of which kind: classes, several labels, real targets."""

from __future__ import annotations

from dataclasses import dataclass

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.tables.columns import MISSING_WORDS
from hvdtma.tables.database import Database, name, text
from hvdtma.tables.table import InputTable, Staged

USUAL = ("label", "labels", "y", "target", "class", "category")
LEAST_ROWS = 10  # of more rows than these not every one can be a class of its own


@dataclass(frozen=True)
class LabelColumn:
    """A column of labels.

    Attributes:
        column: its name.
        known: SQL of the label as text, null where there is none.
        number: SQL of the label as DOUBLE, null where it is no number.
        rows, distinct: the numbers of known and of different labels.
        is_number, is_whole: whether all known labels are numbers, and whole ones.
        is_binary: whether all known labels are 0 or 1.
    """

    column: str
    known: str
    number: str
    rows: int
    distinct: int
    is_number: bool
    is_whole: bool
    is_binary: bool
    has_fractions: bool


def label_columns(table: InputTable, id_column: str, options: ReadOptions) -> list[str]:
    """The columns named by the user, else the one with a usual name, else the only one there is.

    Raises UserError for unknown names, the id column, and several columns of which any may be it.
    """
    named = [table.column(column) for column in options.label_columns]
    if id_column in named:
        raise UserError(
            f"column '{id_column}' of {table.where} holds the ids, so it cannot hold the labels; "
            "name another one with --label-column, or the ids with --id-column"
        )
    if named:
        return named
    others = [column for column in table.names if column != id_column]
    usual = [column for column in others if column.lower() in USUAL]
    for choice in (usual, others):
        if len(choice) == 1:
            return choice
    if not others:
        raise UserError(
            f"{table.where} has one column, '{table.names[0]}'; labels need an id column too"
        )
    raise UserError(
        f"{table.where} has the columns {', '.join(others)} besides the ids '{id_column}'; say "
        "which one holds the labels: --label-column NAME"
    )


def inspect(
    db: Database, table: InputTable, staged: Staged, column: str, options: ReadOptions
) -> LabelColumn:
    """The kind of values in a column of labels."""
    quoted = name(column)
    value = f"CAST({quoted} AS VARCHAR)"
    known = f"NULLIF({value}, '')"
    if options.missing_labels:
        words = ", ".join(map(text, MISSING_WORDS))
        negative = f"coalesce(TRY_CAST({value} AS DOUBLE) < 0, false)"
        if options.label_kind == "real" or _has_fractions(db, staged, value):
            negative = "false"  # targets of regression may be negative
        known = f"CASE WHEN lower({value}) NOT IN ({words}) AND NOT {negative} THEN {value} END"
    number = f"TRY_CAST({known} AS DOUBLE)"
    rows, distinct, numbers, whole, binary = db.run(
        f"SELECT count({known}), count(DISTINCT {known}), count({number}), "
        f"count(*) FILTER ({number} = floor({number})), count(*) FILTER ({number} IN (0, 1)) "
        f"FROM {staged.sql}"
    )[0]
    if numbers == rows == whole:  # pandas writes 1.0 where a column has missing values
        known = f"regexp_replace({known}, '^(-?(0|[1-9][0-9]*))\\.0*$', '\\1')"
        distinct = db.value(f"SELECT count(DISTINCT {known}) FROM {staged.sql}")
    return LabelColumn(
        column, known, number, rows, distinct, numbers == rows, whole == rows, binary == rows,
        numbers > whole,
    )  # fmt: skip


def kind_of_labels(columns: list[LabelColumn], where: str, options: ReadOptions) -> str:
    """The kind `class`, `multi` or `real`; raises UserError for labels of none or of two kinds."""
    first = columns[0]
    kind = options.label_kind
    if len(columns) > 1 and kind == "class":
        raise UserError("several label columns are several labels or targets; one is a class")
    if kind == "auto":
        if len(columns) > 1:
            kind = "multi" if all(c.is_binary for c in columns) else "real"
        else:
            kind = "real" if first.is_number and not first.is_whole else "class"
    for column in columns:
        label = f"column '{column.column}' of {where}"
        if not column.rows:
            raise UserError(f"{label} holds no label")
        if kind == "real" and not column.is_number:
            raise UserError(
                f"{label} holds text; targets of regression are numbers (missing ones are empty)"
            )
        if kind == "multi" and not column.is_binary:
            raise UserError(f"{label} holds other values than 0 and 1, the marks of several labels")
    if kind == "class" and options.label_kind == "auto" and first.has_fractions:
        raise UserError(
            f"column '{first.column}' of {where} holds text and numbers with fractions; numbers "
            "with fractions are targets of regression, never classes. Give --label-kind class if "
            "they are names"
        )
    if kind == "class" and first.distinct == first.rows > LEAST_ROWS:
        raise UserError(
            f"column '{first.column}' of {where} has {first.distinct:,} different labels in as "
            "many rows; these are no classes. Name another column with --label-column"
        )
    return kind


def _has_fractions(db: Database, staged: Staged, value: str) -> bool:
    number = f"TRY_CAST({value} AS DOUBLE)"
    fraction = f"{number} <> floor({number}) AND isfinite({number})"
    return bool(db.value(f"SELECT count(*) FILTER ({fraction}) FROM {staged.sql}"))
