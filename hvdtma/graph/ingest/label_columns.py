"""Which columns of a table are labels, and the facts about their values."""

from __future__ import annotations

from dataclasses import dataclass

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.label_values import LabelColumn
from hvdtma.tables.columns import MISSING_SQL, NUMBER_WITH_COMMA, number_in, number_with_comma
from hvdtma.tables.database import name
from hvdtma.tables.table import InputTable, Staged

USUAL = ("label", "labels", "y", "target", "class", "category")


@dataclass(frozen=True)
class LabelValues:
    """The values of a column of labels, as SQL.

    Attributes:
        number: the value as DOUBLE, null where it is missing or no number.
        class_name: the name of its class, null where there is none.
        facts: about the column.
    """

    number: str
    class_name: str
    facts: LabelColumn


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
    others = [column for column in table.named if column != id_column]
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


def inspect(table: InputTable, staged: Staged, column: str, options: ReadOptions) -> LabelValues:
    """The values in a column of labels; raises UserError for numbers with a comma."""
    db = table.db
    value = f"NULLIF(CAST({name(column)} AS VARCHAR), '')"
    if options.missing_labels:
        value = f"CASE WHEN lower({value}) NOT IN ({MISSING_SQL}) THEN {value} END"
    truth = f"CASE lower({value}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
    number = f"coalesce({number_in(value)}, {truth})"
    labelled = value
    if options.missing_labels:
        labelled = f"CASE WHEN coalesce({number} >= 0, true) THEN {value} END"
    integer = f"regexp_full_match(lower({value}), '[+-]?[0-9]+|true|false')"
    comma = NUMBER_WITH_COMMA.format(value)
    known, numbers, integers, fractions, binary, unknown, least, largest, commas, example = db.run(
        f"SELECT count({value}), count({number}), count(*) FILTER ({integer}), "
        f"count(*) FILTER ({number} <> floor({number}) AND isfinite({number})), "
        f"count(*) FILTER ({number} IN (0, 1)), count(*) FILTER ({number} = -1), "
        f"min({number}), max({number}), count(*) FILTER ({comma}), min({value}) FILTER ({comma}) "
        f"FROM {staged.sql}"
    )[0]
    if commas and numbers + commas == known and options.label_kind != "class":
        raise number_with_comma(column, table.where, example)
    if numbers == known and not fractions:  # pandas writes 1.0 where a column has missing values
        labelled = f"regexp_replace({labelled}, '^(-?(0|[1-9][0-9]*))\\.0*$', '\\1')"
    rows, distinct = db.run(
        f"SELECT count({labelled}), count(DISTINCT {labelled}) FROM {staged.sql}"
    )[0]
    facts = LabelColumn(
        column,
        known - unknown,
        rows,
        distinct,
        is_number=numbers == known,
        is_float=integers < known,
        is_binary=0 < binary == known - unknown,
        has_fractions=fractions > 0,
        least=least or 0.0,
        largest=largest or 0.0,
    )
    return LabelValues(number, labelled, facts)
