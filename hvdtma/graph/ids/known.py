"""Find the nodes of a graph by ids that a person gives.

Legend: N nodes, n given ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import Column, ids_of
from hvdtma.tables.database import DATABASE_BYTES, temporary_database, text

NAMED = 3  # unknown ids, and ids near the first of them, in a message
LEAST_SIMILARITY = 0.8  # Jaro and Winkler's, of ids that are called near


def id_column(values: Sequence | np.ndarray, where: str) -> Column:
    """Ids of Python as a column int64 or large_string.

    Raises UserError for other types, for a mixture of integers and text, and for a missing id.
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        return ids_of(values, where)
    plain = [value.item() if hasattr(value, "item") else value for value in values]
    if any(isinstance(value, bool) for value in plain):
        raise UserError(f"{where} holds true or false; ids are integers or strings")
    try:
        return ids_of(pa.array(plain) if plain else pa.array([], pa.int64()), where)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise UserError(f"{where}: ids are all integers or all strings: {error}") from None


def one_id(value: object) -> Column:
    """The id of one node as a column; raises UserError unless it is an integer or text."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bool) or not isinstance(plain, int | str) or plain == "":
        raise UserError(
            f"the id of a node is {value!r}; valid: an integer, or text with a character"
        )
    beyond = isinstance(plain, int) and not -(2**63) <= plain < 2**63
    return id_column([str(plain) if beyond else plain], "the node")


def find_nodes(ids: NodeIds, given_n: Column) -> np.ndarray:
    """Node numbers int64 [n] of given ids; -1 for an unknown id.

    Ids of another type are compared as they are written: the text `007` is not the node 7.
    """
    known = ids.values
    if given_n.type != known.type:
        known, given_n = known.cast(pa.large_string()), given_n.cast(pa.large_string())
    if len(given_n) == 1:  # without a hash table of all ids
        return np.array([pc.index(known, given_n[0]).as_py()], np.int64)
    found = pc.index_in(given_n, value_set=known)
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def known_rows(
    ids: NodeIds, columns: Sequence[Column], where: str, *, skip: bool | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """The nodes of rows of ids, one column for each end.

    Args:
        where: the origin of the ids, for messages; "" for a single one.
        skip: whether rows with an unknown id are left out and counted; None: they cannot be.

    Returns the node numbers int64 of each column, and the numbers of the rows, int64. Raises
    UserError for an unknown id unless they are skipped: names the first ones and ids like them.
    """
    nodes = [find_nodes(ids, column) for column in columns]
    known = np.logical_and.reduce([found >= 0 for found in nodes])
    rows = np.flatnonzero(known)
    unit, begin = "rows" if len(columns) > 1 else "ids", f"{where}: " if where else ""
    if not len(known):
        raise UserError(f"{begin}there are no {unit}")
    left = len(known) - len(rows)
    if left and not skip:
        remedy = "" if skip is None else ". --skip-unknown leaves them out"
        raise UserError(begin + _unknown(ids, columns, nodes, left, unit) + remedy)
    if not len(rows):
        raise UserError(f"{begin}no id is one of the graph; all {left:,} {unit} are left out")
    if left:
        console.print(
            f"{begin}{left:,} of {len(known):,} {unit} are left out: unknown ids",
            markup=False,
            soft_wrap=True,
        )
    return [found[rows] for found in nodes], rows


def _unknown(
    ids: NodeIds,
    columns: Sequence[Column],
    nodes: Sequence[np.ndarray],
    left: int,
    unit: str,
) -> str:
    """The message for unknown ids: the first ones, their number, and ids like them."""
    names: dict[object, None] = {}
    for column, found in zip(columns, nodes, strict=True):
        for row in np.flatnonzero(found < 0)[:NAMED].tolist():
            names[column[row].as_py()] = None
    first, *others = list(names)[:NAMED]
    also = "".join(f", '{name}'" for name in others)
    near = nearest_ids(ids, str(first))
    hint = f"; ids like '{first}': " + ", ".join(f"'{name}'" for name in near) if near else ""
    count = "" if left == 1 else f" ({left:,} {unit} have unknown ids)"
    return f"the graph has no node '{first}'{also}{count}{hint}"


def nearest_ids(ids: NodeIds, word: str) -> list[str]:
    """The ids most like a word, the nearest first; none if no id is like it."""
    similarity = f"jaro_winkler_similarity(lower(name), lower({text(word)}))"
    with temporary_database(DATABASE_BYTES) as db:
        found = db.run(
            f"SELECT name, {similarity} AS s FROM (SELECT CAST(id AS VARCHAR) AS name FROM known) "
            f"WHERE s >= {LEAST_SIMILARITY} ORDER BY s DESC, name LIMIT {NAMED}",
            {"known": pa.table({"id": ids.values})},
        )
    return [name for name, _ in found]
