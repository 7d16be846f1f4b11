"""Which columns of a table are features, and how each becomes numbers.

Numbers, decimals and booleans are taken as they are, lists of numbers as several features. A text
column is a category, one feature per value, if it has few values that repeat. Everything else is
left out, by name and with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from hvdtma.core.errors import UserError
from hvdtma.graph.ids.kind import INTEGER_KINDS
from hvdtma.tables.columns import MISSING_SQL, NUMBER_WITH_COMMA, number_in, number_with_comma
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

    @property
    def text(self) -> str:
        """The type in words."""
        if self.is_list or self.names == [self.column]:
            return self.kind.lower()
        return f"category of {len(self.names)} values"


@dataclass
class ChosenColumns:
    """The columns of a table as features.

    Attributes:
        taken: in the order of the table.
        left_out: column -> its type and the reason.
        filled: column -> the number of missing values that were filled.
        odd: category -> the few of its values that are no numbers, in words.
    """

    taken: list[FeatureColumn] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)


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
    table: InputTable,
    staged: Staged,
    columns: Sequence[str],
    named: bool,
    fill: str,
    like: Collection[str] = (),
) -> ChosenColumns:
    """How each column becomes features; reads the rows once.

    Args:
        named: whether the user named the columns; then none is left out in silence.
        fill: `error`, `zero` or `mean`, for missing values.
        like: the names of the features that another store has: its categories are categories here,
            of its values too, and its columns are taken even if they number the rows.
    """
    found = ChosenColumns()
    for column in columns:
        kind = table.types[column]
        forced = named or column in like
        values = [one.removeprefix(f"{column}=") for one in like if one.startswith(f"{column}=")]
        taken = _features_of(table, staged, column, fill, found, forced, values)
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
    table: InputTable,
    staged: Staged,
    column: str,
    fill: str,
    found: ChosenColumns,
    forced: bool,
    values: list[str],
) -> FeatureColumn | str:
    """The column's features, or the reason to leave it out.

    Args:
        forced: whether it is taken even if it numbers the rows.
        values: those of the category that it is in another store.
    """
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
        value = f"coalesce({number_in(quoted)}, {truth})"
        comma = NUMBER_WITH_COMMA.format(known)
        rows, not_numbers, distinct, commas, example = db.run(
            f"SELECT count({known}), count(*) FILTER ({known} IS NOT NULL AND ({value}) IS NULL), "
            f"approx_count_distinct({known}), count(*) FILTER ({comma}), "
            f"min({known}) FILTER ({comma}) FROM {staged.sql}"
        )[0]
        if not rows:
            return "it is empty"
        if not_numbers and not_numbers == commas and not values:
            raise number_with_comma(column, table.where, example)
        if not_numbers or values:
            taken = _category(db, staged, column, kind, known, rows, distinct, values)
            if 2 * not_numbers < rows and not values:
                odd = _not_numbers(db, staged, known, value, not_numbers, rows)
                if isinstance(taken, str):
                    return f"{taken}; {odd}"
                found.odd[column] = odd
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
    if not forced and _numbers_rows(db, staged, value):
        return "it numbers the rows"
    return FeatureColumn(column, kind, [_filled(db, staged, column, value, fill, found)], [column])


def _category(
    db: Database,
    staged: Staged,
    column: str,
    kind: str,
    known: str,
    rows: int,
    distinct: int,
    old: list[str],
) -> FeatureColumn | str:
    if distinct <= 2 * MAX_CATEGORIES:
        found = {v for (v,) in db.run(f"SELECT DISTINCT {known} FROM {staged.sql}")} - {None}
        values = sorted(found | set(old))
        if len(found) <= (MAX_CATEGORIES if old else min(MAX_CATEGORIES, rows // 2)):
            hot = [f"CAST(({known}) IS NOT DISTINCT FROM {text(v)} AS DOUBLE)" for v in values]
            return FeatureColumn(column, kind, hot, [f"{column}={v}" for v in values])
        distinct = len(values)
    most = min(MAX_CATEGORIES, rows // 2)
    return (
        f"about {distinct:,} different texts; a category has at most {MAX_CATEGORIES}, and at most "
        f"half as many as rows, here {most}"
    )


def _not_numbers(
    db: Database, staged: Staged, known: str, value: str, number: int, rows: int
) -> str:
    """The values that are no numbers, of a column whose other values are numbers, in words."""
    found = db.run(
        f"SELECT DISTINCT {known} AS v FROM {staged.sql} WHERE {known} IS NOT NULL AND "
        f"({value}) IS NULL ORDER BY v LIMIT 3"
    )
    shown = ", ".join(f"'{word}'" for (word,) in found)
    return f"{number:,} of its {rows:,} values are no numbers, such as {shown}"


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
    known = f"CASE WHEN NOT isnan({value}) THEN {value} END"  # infinity is refused later
    missing, mean = db.run(
        f"SELECT count(*) FILTER (({known}) IS NULL), avg({known}) FILTER (isfinite({value})) "
        f"FROM {staged.sql}"
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
    known = "CASE WHEN NOT isnan(CAST(x AS DOUBLE)) THEN CAST(x AS DOUBLE) END"
    filler, places, num_known, rows = db.run(
        "SELECT list(coalesce(mean, 0) ORDER BY place), count(*), sum(known), "
        f"(SELECT count(*) FROM {staged.sql}) FROM (SELECT place, "
        f"avg({known}) FILTER (isfinite(CAST(x AS DOUBLE))) AS mean, "
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
