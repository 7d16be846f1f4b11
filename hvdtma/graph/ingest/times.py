"""Times in columns: whole numbers as they are, dates in seconds since 1970 (UTC)."""

from __future__ import annotations

from hvdtma.core.errors import UserError
from hvdtma.graph.ids.kind import INTEGER_KINDS
from hvdtma.tables.database import name
from hvdtma.tables.table import InputTable

NO_TIME_WORDS = (
    "is no time: a whole number or a date such as 2024-01-31, 2024-01-31 13:45:00 or "
    "2024-01-31T13:45:00+02:00"
)
_TIME_KINDS = ("DATE", "TIMESTAMP")
_NUMBER_KINDS = (*INTEGER_KINDS, "FLOAT", "DOUBLE", "BOOLEAN")
_WHOLE = r"[+-]?[0-9]+([.]0*)?"
_DATE = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}"
_CLOCK = r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
# Abbreviations such as IST or BST stand for several zones, so only names with a slash are read.
_ZONE = r"Z| ?(UTC|GMT)| ?[+-][0-9]{2}(:?[0-9]{2})?| [A-Za-z_]+(/[A-Za-z0-9_+-]+)+"
_READABLE = f"{_DATE}([ T]{_CLOCK}({_ZONE})?)?"


def time_expression(column: str, kind: str) -> str:
    """A time as BIGINT: a whole number as it is, a date or timestamp in seconds since 1970 (UTC).

    A timestamp without an offset or a time zone is in UTC. Null for anything else, fractions of
    numbers included.
    """
    seconds = "CAST(floor(epoch({0})) AS BIGINT)"
    if kind.startswith(_TIME_KINDS):
        return seconds.format(column)
    if kind in INTEGER_KINDS:
        return f"TRY_CAST({column} AS BIGINT)"
    number = f"TRY_CAST({column} AS DOUBLE)"
    whole = f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({number} AS BIGINT) END"
    if _is_number(kind):
        return whole
    value = f"CAST({column} AS VARCHAR)"
    digits = f"regexp_extract({value}, '^([+-]?[0-9]+)', 1)"  # exact where DOUBLE is not
    joined = f"regexp_replace({value}, ' ([+-][0-9:]+)$', '\\1')"  # DuckDB wants no blank here
    return (
        f"CASE WHEN regexp_full_match({value}, '{_WHOLE}') THEN TRY_CAST({digits} AS BIGINT) "
        f"WHEN regexp_full_match({value}, '{_READABLE}') "
        f"THEN {seconds.format(f'TRY_CAST({joined} AS TIMESTAMPTZ)')} END"
    )


def check_kind_of_times(table: InputTable, rows: str, column: str) -> None:
    """Raise UserError for a column of text that has both whole numbers and dates.

    Seconds since 1970 and a number such as 2024 have no common order.

    Args:
        rows: the good rows, to select from.
    """
    if table.types[column].startswith(_TIME_KINDS) or _is_number(table.types[column]):
        return
    value = f"CAST({name(column)} AS VARCHAR)"
    whole, date = (f"regexp_full_match({value}, '{each}')" for each in (_WHOLE, _READABLE))
    numbers, number, dates, example = table.db.run(
        f"SELECT count(*) FILTER ({whole}), min({value}) FILTER ({whole}), "
        f"count(*) FILTER ({date}), min({value}) FILTER ({date}) FROM {rows}"
    )[0]
    if numbers and dates:
        raise UserError(
            f"column '{column}' of {table.where} has whole numbers ({numbers:,}, such as "
            f"'{number}') and dates ({dates:,}, such as '{example}'), which cannot be compared; "
            "write all times as dates, or all as numbers of one unit"
        )


def _is_number(kind: str) -> bool:
    return kind in _NUMBER_KINDS or kind.startswith("DECIMAL")
