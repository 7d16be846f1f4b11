"""Which columns of a table are features, and how each becomes numbers.

Numbers, decimals and booleans are taken as they are, lists of numbers as several features. A text
column is a category, one feature per value, if it has few values that repeat. Everything else is
left out, by name and with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hvdtma.core.errors import UserError
from hvdtma.graph.ids.kind import INTEGER_KINDS
from hvdtma.tables.columns import MISSING_SQL, NUMBER_WITH_COMMA, number_with_comma
from hvdtma.tables.database import Database, name, text
from hvdtma.tables.table import InputTable, Staged

MAX_CATEGORIES = 64
SUSPICIOUS = ("label", "labels", "y", "target", "class", "time", "timestamp", "date", "split")
_NUMBERS = (*INTEGER_KINDS, "DOUBLE", "FLOAT", "BOOLEAN")


@dataclass(frozen=True)
class FeatureColumn:
    """One column that is taken.

    Attributes:
        column, kind: its name and DuckDB type.
        values: SQL of its features, each a DOUBLE that is null where it is missing.
        names: of these features; None for a list, whose features have numbers.
    """

    column: str
    kind: str
    values: list[str]
    names: list[str]
    is_list: bool = False


@dataclass
class ChosenColumns:
    """The columns of a table as features.

    Attributes:
        taken: in the order of the table.
        left_out: column -> its type and the reason.
        filled: column -> the number of missing values that were filled.
    """

    taken: list[FeatureColumn] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)


def candidates(
    table: InputTable, id_column: str, feature_columns: Sequence[str] | None, drop: Sequence[str]
) -> list[str]:
    """The columns that may be features; raises UserError for unknown names."""
    for column in drop:
        table.column(column)
    if feature_columns is not None:
        chosen = [table.column(column) for column in feature_columns]
    else:
        chosen = [column for column in table.named if column != id_column]
    return [column for column in chosen if column not in drop]


def choose(
    table: InputTable, staged: Staged, columns: Sequence[str], named: bool, fill: str
) -> ChosenColumns:
    """How each column becomes features; reads the rows once.

    Args:
        named: whether the user named the columns; then none is left out in silence.
        fill: `error`, `zero` or `mean`, for missing values.
    """
    found = ChosenColumns()
    for column in columns:
        kind = table.types[column]
        taken = _features_of(table, staged, column, fill, found)
        if isinstance(taken, str):
            if named:
                raise UserError(f"column '{column}' of {table.where} cannot be a feature: {taken}")
            found.left_out[column] = f"{kind.lower()}: {taken}"
        else:
            found.taken.append(taken)
    if not found.taken:
        reasons = "; ".join(f"{column} ({why})" for column, why in found.left_out.items())
        raise UserError(
            f"{table.where} has no columns of numbers, lists of numbers or categories: "
            f"{reasons or 'only ids'}"
        )
    return found


def _features_of(
    table: InputTable, staged: Staged, column: str, fill: str, found: ChosenColumns
) -> FeatureColumn | str:
    """The column's features, or the reason to leave it out."""
    db, kind, quoted = table.db, table.types[column], name(column)
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        if inner not in _NUMBERS and not inner.startswith("DECIMAL"):
            return f"lists of {inner.lower()}"
        value = _filled_list(db, staged, column, fill, found)
        return FeatureColumn(column, kind, [value], [], True)
    if kind in _NUMBERS or kind.startswith("DECIMAL"):
        value = f"CAST({quoted} AS DOUBLE)"
    elif kind == "VARCHAR" or kind.startswith("ENUM"):
        known = f"NULLIF(CASE WHEN lower({quoted}) NOT IN ({MISSING_SQL}) THEN {quoted} END, '')"
        truth = f"CASE lower({quoted}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
        value = f"coalesce(TRY_CAST({quoted} AS DOUBLE), {truth})"
        comma = NUMBER_WITH_COMMA.format(known)
        rows, not_numbers, distinct, commas, example = db.run(
            f"SELECT count({known}), count(*) FILTER ({known} IS NOT NULL AND ({value}) IS NULL), "
            f"approx_count_distinct({known}), count(*) FILTER ({comma}), "
            f"min({known}) FILTER ({comma}) FROM {staged.sql}"
        )[0]
        if not rows:
            return "it is empty"
        if not_numbers and not_numbers == commas:
            raise number_with_comma(column, table.where, example)
        if not_numbers:
            taken = _category(db, staged, column, kind, known, rows, distinct)
            missing = staged.num_rows - rows
            if missing and isinstance(taken, FeatureColumn):
                if fill == "error":
                    raise UserError(
                        f"category '{column}' of {table.where} has {missing:,} missing values; "
                        "give --fill-missing zero or mean (a missing category is all zeros), or "
                        f"--drop-columns {column}"
                    )
                found.filled[column] = missing
            return taken
    else:
        return "no numbers"
    if _numbers_rows(db, staged, value):
        return "it numbers the rows"
    return FeatureColumn(column, kind, [_filled(db, staged, column, value, fill, found)], [column])


def _category(
    db: Database, staged: Staged, column: str, kind: str, known: str, rows: int, distinct: int
) -> FeatureColumn | str:
    if distinct <= 2 * MAX_CATEGORIES:
        found = db.run(f"SELECT DISTINCT {known} FROM {staged.sql}")
        values = sorted(value for (value,) in found if value is not None)
        if len(values) <= min(MAX_CATEGORIES, rows // 2):
            hot = [f"CAST(({known}) IS NOT DISTINCT FROM {text(v)} AS DOUBLE)" for v in values]
            return FeatureColumn(column, kind, hot, [f"{column}={v}" for v in values])
        distinct = len(values)
    return f"about {distinct:,} different texts; at most {MAX_CATEGORIES} are a category"


def _numbers_rows(db: Database, staged: Staged, value: str) -> bool:
    """Whether a column counts the rows from 0 or 1."""
    bounds = f"SELECT min({value}), max({value}), count(*) FROM {staged.sql}"
    least, largest, rows = db.run(bounds)[0]
    if rows < 10 or least not in (0, 1) or largest - least != rows - 1:
        return False
    wrong = db.value(
        f"SELECT count(*) FROM (SELECT {value} AS v, row_number() OVER () AS n FROM {staged.sql}) "
        f"WHERE v IS DISTINCT FROM n - 1 + {least}"
    )
    return not wrong


def _filled(
    db: Database, staged: Staged, column: str, value: str, fill: str, found: ChosenColumns
) -> str:
    if fill == "error":
        return value
    known = f"CASE WHEN isfinite({value}) THEN {value} END"
    missing, mean = db.run(
        f"SELECT count(*) FILTER (({known}) IS NULL), avg({known}) FROM {staged.sql}"
    )[0]
    if not missing:
        return value
    found.filled[column] = missing
    return f"coalesce({known}, {float(mean or 0.0) if fill == 'mean' else 0.0!r})"


def _filled_list(db: Database, staged: Staged, column: str, fill: str, found: ChosenColumns) -> str:
    """Lists whose missing values, and missing lists, are filled: with the mean of their place."""
    quoted = name(column)
    if fill == "error":
        return quoted
    known = "CASE WHEN isfinite(CAST(x AS DOUBLE)) THEN CAST(x AS DOUBLE) END"
    filler, places, num_known, rows = db.run(
        "SELECT list(coalesce(mean, 0) ORDER BY place), count(*), sum(known), "
        f"(SELECT count(*) FROM {staged.sql}) FROM (SELECT place, avg({known}) AS mean, "
        f"count({known}) AS known FROM (SELECT unnest({quoted}) AS x, "
        f"generate_subscripts({quoted}, 1) AS place FROM {staged.sql}) GROUP BY place)"
    )[0]
    missing = rows * places - (num_known or 0)
    if not missing:
        return quoted
    found.filled[column] = missing
    filled = f"{filler if fill == 'mean' else [0.0] * places}::DOUBLE[]"
    values = f"list_transform({quoted}, lambda x, place: coalesce({known}, ({filled})[place]))"
    return f"coalesce({values}, {filled})"
