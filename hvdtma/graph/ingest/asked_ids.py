"""The pairs or nodes about which a trained model is asked: tables, or lists and arrays of ids.

Tables are read as those of a build are: ids come as they are written.

Legend: n pairs or ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.graph.ids.known import id_column
from hvdtma.graph.ingest.edges import open_edges, read_edges
from hvdtma.graph.ingest.node_tables import (
    id_checks,
    id_column_of,
    ids_in,
    without_missing_words,
)
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.sources.tensors import as_array
from hvdtma.tables.columns import Column
from hvdtma.tables.database import DATABASE_BYTES, Database, temporary_database
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import open_table


@dataclass(frozen=True)
class AskedPairs:
    """Pairs of ids as they were given.

    Attributes:
        where: their origin, for messages.
        src, dst: int64 or large_string [n].
        edge_type: names of types, large_string [n]; None without a column of types.
    """

    where: str
    src: Column
    dst: Column
    edge_type: Column | None = None


def asked_pairs(given: Any, options: ReadOptions) -> AskedPairs:
    """Pairs from a table (a file, a query, a frame), a list of pairs or an array [n, 2].

    Raises UserError for a table that cannot be read, for a row without an id (of a table, unless
    bad rows are skipped), and for other objects.
    """
    if _is_table(given):
        with temporary_database(DATABASE_BYTES) as db:
            columns = open_edges(db, given, options, content="pairs")
            rows = read_edges(columns, options, BadRows(options.bad_rows))
            (src, dst), others = rows.expressions(options.id_type != "int")
            chosen = [src, dst, *([others["edge_type"]] if "edge_type" in others else [])]
            found = [_column(db, sql, f"{rows.staged.sql} AS e") for sql in chosen]
            return AskedPairs(columns.table.where, *found)
    where = "the pairs"
    if hasattr(given, "detach") or isinstance(given, np.ndarray):
        array = as_array(given)
        if array.ndim != 2 or array.shape[1] != 2:
            raise UserError(f"pairs have shape {list(array.shape)}; valid: [n, 2]")
        return AskedPairs(where, *(id_column(end, where) for end in array.T))
    if not isinstance(given, Sequence):
        raise UserError(
            f"pairs are a {type(given).__name__}; valid: a table (file, frame, query), a list of "
            "pairs of ids, an array [n, 2]"
        )
    for row, pair in enumerate(given):
        if isinstance(pair, str) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise UserError(f"pair {row} is {pair!r}; valid: two ids, (source, destination)")
    return AskedPairs(where, *(id_column([pair[end] for pair in given], where) for end in (0, 1)))


def asked_nodes(given: Any, options: ReadOptions) -> tuple[Column, str]:
    """The ids of a table (a file, a query, a frame), a list or an array, and their origin.

    Raises UserError for a table that cannot be read, for a row without an id (of a table, unless
    bad rows are skipped), and for other objects.
    """
    if not _is_table(given):
        if not (isinstance(given, Sequence) or hasattr(given, "__array__")):
            raise UserError(
                f"nodes are a {type(given).__name__}; valid: a table (file, frame, query), a list "
                "or an array of ids"
            )
        values = as_array(given) if hasattr(given, "detach") else given
        if isinstance(values, np.ndarray) and values.ndim != 1:
            raise UserError(f"nodes have shape {list(values.shape)}; valid: ids [n]")
        return id_column(values, "the nodes"), "the nodes"
    with temporary_database(DATABASE_BYTES) as db:
        named = (options.id_column,)
        text = replace(options.text, one_column=True)
        table = open_table(db, given, "nodes", text, named=named, id_fields=1)
        table.check_header()
        column, bad = id_column_of(table, options), BadRows(options.bad_rows)
        staged = table.stage([column], id_checks(table, column, options), bad, multiline=True)
        staged = without_missing_words(table, staged, [column], options, bad)
        if not staged.num_rows:
            raise UserError(f"{table.where} holds no id")
        ids = ids_in(table, staged, column, options)
        return _column(db, ids.as_ids(options.id_type != "int"), staged.sql), table.where


def _is_table(given: Any) -> bool:
    """Whether an object is a file, a query or a frame, no list or array of ids."""
    if isinstance(given, str | Path):
        return True
    return not isinstance(given, list | tuple | np.ndarray) and (
        hasattr(given, "__arrow_c_stream__")
        or hasattr(given, "to_arrow_table")
        or type(given).__module__.startswith("pandas")
    )


def _column(db: Database, expression: str, rows: str) -> Column:
    """The values of an expression, int64 or large_string, in the order of the rows."""
    batches = [batch.column(0) for batch in db.batches(f"SELECT {expression} AS v FROM {rows}")]
    column = pa.chunked_array(batches).combine_chunks()
    return column if pa.types.is_integer(column.type) else column.cast(pa.large_string())
