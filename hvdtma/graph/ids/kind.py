"""Whether ids are integers or strings: integers only if every id is written as one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.columns import Column
from hvdtma.tables.database import INTEGERS, Database, name

ID_TYPES = ("auto", "int", "str")
INTEGER_KINDS = (*INTEGERS, "UHUGEINT")
_WITH_POINT = r"[+-]?[0-9]+\.0*"


@dataclass(frozen=True)
class TableIds:
    """A column of ids.

    Attributes:
        sql: a table or a subquery.
        column: the name.
        kind: DuckDB's type.
        where: for messages.
        is_typed: whether text is text because the input says so, as Parquet does and CSV does not.
        loose: whether other writings than the usual one are integers, as `id_type=int` says.
    """

    sql: str
    column: str
    kind: str
    where: str
    is_typed: bool = False
    loose: bool = False

    @property
    def is_integer(self) -> bool:
        """Whether the type is an integer."""
        return self.kind in INTEGER_KINDS

    def as_ids(self, strings: bool) -> str:
        """The ids as VARCHAR or BIGINT, as an SQL expression."""
        return id_expression(name(self.column), self.kind, strings, self.loose)

    def select(self, strings: bool) -> str:
        """A SELECT of the ids, as `id`."""
        return f"SELECT {self.as_ids(strings)} AS id FROM {self.sql}"


def stored_ids(db: Database, column: Column, where: str) -> TableIds:
    """Ids as `ids_of` returns them, as a table of the database."""
    kind = "VARCHAR" if pa.types.is_large_string(column.type) else "BIGINT"
    return TableIds(db.store(pa.table({"id": column}), "ids"), "id", kind, where)


def all_ids(columns: Iterable[TableIds], strings: bool) -> str:
    """A SELECT of the ids of several columns, with repeats."""
    return " UNION ALL ".join(column.select(strings) for column in columns)


def id_expression(column: str, kind: str, strings: bool, loose: bool = False) -> str:
    """A column as ids: VARCHAR, or BIGINT (null if it is none), as an SQL expression."""
    if strings:
        return f"CAST({column} AS VARCHAR)"
    if kind in INTEGER_KINDS:
        return f"TRY_CAST({column} AS BIGINT)"
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"{column} = floor({column}) AND abs({column}) < 9007199254740992"
        return f"CASE WHEN {whole} THEN TRY_CAST({column} AS BIGINT) END"
    if not loose:
        number = f"TRY_CAST({column} AS BIGINT)"
        return f"CASE WHEN CAST({number} AS VARCHAR) = {column} THEN {number} END"
    digits = f"regexp_extract({column}, '^([+-]?[0-9]+)(\\.0*)?$', 1)"
    return f"TRY_CAST(NULLIF({digits}, '') AS BIGINT)"


def common_kind(kinds: Collection[str]) -> str:
    """The type of a column that takes the ids of several columns, none of which changes."""
    if set(kinds) <= set(INTEGER_KINDS):
        large = {"UBIGINT", "HUGEINT", "UHUGEINT"} & set(kinds)
        return "HUGEINT" if large else "BIGINT"
    if set(kinds) <= {*INTEGER_KINDS, "DOUBLE", "FLOAT"}:
        return "DOUBLE"
    return "VARCHAR"


def check_id_kind(where: str, column: str, kind: str, id_type: str) -> None:
    """Raise UserError for a type that holds no ids."""
    if id_type not in ID_TYPES:
        raise UserError(f"id_type is '{id_type}'; {nearest(id_type, list(ID_TYPES))}")
    if kind in ("DOUBLE", "FLOAT"):
        if id_type == "int":
            return
        if id_type == "str":
            raise UserError(
                f"column '{column}' of {where} holds {kind}, and the text of such a number is not "
                "unique; write the ids as text, as by sql:SELECT CAST(id AS VARCHAR) ..., or give "
                "--id-type int if they are whole"
            )
        raise UserError(
            f"column '{column}' of {where} holds {kind}; ids and types are integers or strings. "
            "If the numbers are whole, as pandas writes integers of a column with missing values, "
            "give --id-type int"
        )
    if kind not in INTEGER_KINDS and kind not in ("VARCHAR", "UUID") and "ENUM" not in kind:
        raise UserError(
            f"column '{column}' of {where} holds {kind}; ids and types are integers or strings"
        )


def are_strings(db: Database, columns: list[TableIds], id_type: str) -> bool:
    """Whether the ids of these columns are strings.

    Raises UserError if all ids are whole numbers but some are written with a decimal point: `1`
    and `1.0` would be two nodes.
    """
    if id_type != "auto":
        return id_type == "str"
    strings = False
    for one in columns:
        id_ = name(one.column)
        if one.is_integer:
            if one.kind in ("UBIGINT", "HUGEINT", "UHUGEINT"):
                strings |= bool(
                    db.value(
                        f"SELECT count(*) FROM {one.sql} WHERE {id_} IS NOT NULL AND "
                        f"TRY_CAST({id_} AS BIGINT) IS NULL"
                    )
                )
            continue
        if one.is_typed:
            strings = True
            continue
        usual = f"CAST(TRY_CAST({id_} AS BIGINT) AS VARCHAR) IS NOT DISTINCT FROM {id_}"
        point = f"regexp_full_match({id_}, '{_WITH_POINT}')"
        odd, with_point, first = db.run(
            f"SELECT count(*) FILTER (NOT ({usual})), count(*) FILTER ({point}), "
            f"min({id_}) FILTER ({point}) FROM {one.sql}"
        )[0]
        if with_point and odd == with_point:
            raise UserError(
                f"{one.where}: {with_point:,} ids of column '{one.column}' are written with a "
                f"decimal point, such as '{first}', as pandas writes integers of a column with "
                "missing values. Give --id-type int to read them as integers, or --id-type str to "
                "keep them as they are written"
            )
        strings |= odd > 0
    return strings
