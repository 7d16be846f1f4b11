"""Columns of ids, edge types and labels, each of one Arrow type."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.errors import UserError, nearest

ID_NAMES = ("id", "node", "node_id")  # usual names of an id column
USUAL_ENDS = (
    ("src", "dst"),
    ("source", "target"),
    ("from", "to"),
    ("head", "tail"),
    ("u", "v"),
    ("id_1", "id_2"),
    ("id1", "id2"),
    ("node_1", "node_2"),
    ("node1", "node2"),
    ("source_node", "target_node"),
    ("fromnodeid", "tonodeid"),
)
MISSING_WORDS = (
    "",
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "?",
    "-",
    "missing",
    "<na>",
    "\\n",
    "#n/a",
    "#n/a n/a",
    "#na",
    "-nan",
    "nat",
    "n.a.",
    "--",
    ".",
    "1.#ind",
    "-1.#ind",
    "1.#qnan",
    "-1.#qnan",  # pandas, C
    "#div/0!",
    "#value!",
    "#ref!",
    "#name?",
    "#num!",
    "#null!",
)  # fmt: skip; Excel
MISSING_SQL = ", ".join("'" + word + "'" for word in MISSING_WORDS)  # for: lower(x) IN (...)
NUMBER_WITH_COMMA = "regexp_full_match({0}, '[+-]?[0-9.]*[0-9],[0-9][0-9.,]*')"  # SQL
Column: TypeAlias = pa.Array | pa.ChunkedArray
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_INT64 = np.iinfo(np.int64)


def number_in(value: str) -> str:
    """A text as DOUBLE, null if it is no number, as SQL; `1_0` is none, though DuckDB reads 10."""
    return f"CASE WHEN NOT contains({value}, '_') THEN TRY_CAST({value} AS DOUBLE) END"


def is_integer(text: str) -> bool:
    """Whether a field is an integer of 64 bits in its usual form: `7`, not `007`."""
    return bool(_INTEGER.fullmatch(text)) and _INT64.min <= int(text) <= _INT64.max


def ids_of(values: Column | np.ndarray, where: str, first: int = 0) -> Column:
    """A column of ids as int64 or large_string.

    Args:
        where: the file and the column, for messages.
        first: the number of the first row.

    Raises UserError for any other type, for a missing id and for an empty string.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind not in "iuU":
        raise UserError(f"{where} holds {values.dtype}; ids and types are integers or strings")
    if isinstance(values, np.ndarray):
        column = pa.array(np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
    else:
        column = values
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not is_text and not pa.types.is_integer(column.type):
        raise UserError(f"{where} holds {column.type}; ids and types are integers or strings")
    missing = column.is_null()
    if is_text:
        missing = pc.or_kleene(missing, pc.equal(column, ""))
    if pc.any(missing).as_py():
        raise UserError(f"{where}: row {first + pc.index(missing, True).as_py() + 1} has no id")
    try:
        return column.cast(pa.large_string() if is_text else pa.int64())
    except pa.ArrowInvalid as error:
        raise UserError(f"{where}: an id does not fit 64 bits with a sign ({error})") from None


def sorted_names(names: Collection[str]) -> list[str]:
    """Names in order: as numbers if all are integers, else as text."""
    return sorted(names, key=int if all(map(is_integer, names)) else str)


def positions(column: Column, names: Sequence[str]) -> np.ndarray:
    """The positions of a column's values among names, int64; -1 for null and for other values."""
    known = pa.array(names, pa.large_string())
    found = pc.index_in(column.cast(pa.large_string()), value_set=known)
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def encode(columns: list[Column]) -> tuple[list[str], list[np.ndarray]]:
    """The sorted names of types or labels, and for each column the numbers of its names, int64."""
    texts = [column.cast(pa.large_string()) for column in columns]
    names = sorted_names({name for text in texts for name in pc.unique(text).to_pylist()})
    return names, [positions(text, names) for text in texts]


def encode_types(columns: list[Column]) -> tuple[list[str], list[np.ndarray]]:
    """`encode` for edge types: int16 positions; raises UserError for more than 32,767 types."""
    names, codes = encode(columns)
    check_num_types(len(names))
    return names, [code.astype(np.int16) for code in codes]


def check_num_types(num_types: int) -> None:
    """Raise UserError for more edge types than an int16 can number."""
    limit = np.iinfo(np.int16).max
    if num_types > limit:
        raise UserError(f"{num_types} edge types; at most {limit} are possible")


def position_of(name: str, names: list[str], where: str) -> int:
    """The position of a column; raises UserError, listing the names, if there is none."""
    if name not in names:
        raise UserError(f"{where} has no column '{name}'; {nearest(name, names)}")
    return names.index(name)


def number_with_comma(column: str, where: str, example: str) -> UserError:
    """The error for numbers with decimal commas, or with commas between thousands."""
    return UserError(
        f"column '{column}' of {where} has numbers with a comma, such as '{example}'; write them "
        "with a decimal point, by hand or by a query: sql:SELECT replace(x, ',', '.') ..."
    )


def usual_ends(names: list[str]) -> tuple[str, str] | None:
    """The columns with a usual pair of names for the ends of an edge, or None."""
    known = {name.strip().lower(): name for name in names}
    for src, dst in USUAL_ENDS:
        if src in known and dst in known:
            return known[src], known[dst]
    return None
