"""Features of any input: tables, NumPy arrays, SciPy matrices, JSON lists.

Legend: R rows, D features, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape

from hvdtma.core.console import console, warn
from hvdtma.core.errors import UserError
from hvdtma.graph.ids.kind import TableIds, stored_ids
from hvdtma.graph.ingest.feature_columns import (
    SUSPICIOUS,
    ChosenColumns,
    FeatureColumn,
    candidates,
    choose,
)
from hvdtma.graph.ingest.node_tables import (
    id_checks,
    id_column_of,
    ids_in,
    warn_of_missing_words,
    without_missing_words,
)
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.tables.columns import Column
from hvdtma.tables.database import Database, name
from hvdtma.tables.features import (
    FEATURE_FILES,
    PIECE_BYTES,
    FeatureFile,
    checked_features,
    open_feature_file,
)
from hvdtma.tables.inputs import TABLE_FILES, resolve
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import InputTable, Staged, open_table

_OF_TABLES = ("feature_columns", "drop_columns", "fill_missing")  # options
ARRAYS = (".npy", ".npz", ".json")


@dataclass(frozen=True)
class FeatureInput(FeatureFile):
    """Features in the order of the input; their values are not checked yet.

    Attributes:
        ids: the ids of all rows; None if row i belongs to the integer id i.
        columns: the columns that were chosen, or None.
        counts: notes for the build's report.
    """

    ids: TableIds | None = None
    columns: ChosenColumns | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def pieces(self, node_of: Callable[[int], object]) -> Iterator[np.ndarray]:
        """The dense rows [n, D] in order, checked; `node_of` returns the id of a row, for messages.

        Raises UserError for a value that is not finite.
        """
        first = 0

        def node_at(row: int) -> object:
            return node_of(first + row)

        for rows in self.read():
            yield checked_features(rows, self.where, node_at, self.names, self.remedy)
            first += len(rows)

    @property
    def remedy(self) -> str:
        """What to do about a value that is missing."""
        if self.columns is None:
            return "replace such values first"
        return "fill missing values with --fill-missing mean or zero, or --drop-columns NAME"


def open_features(db: Database, given: Any, options: ReadOptions) -> InputTable | Path:
    """Open what was given for `features`; rows are not read yet.

    Returns a table, or the path of a file of arrays.
    """
    endings = [*FEATURE_FILES, *(ending for ending in TABLE_FILES if ending not in FEATURE_FILES)]
    inputs = resolve(given, "features", endings)
    if inputs[0].kind in ARRAYS and inputs[0].path is not None:
        if len(inputs) > 1:
            raise UserError(f"features are {len(inputs)} files; several must be tables with ids")
        options.check_default(_OF_TABLES, inputs[0].where)
        return inputs[0].path
    named = (options.id_column, *(options.feature_columns or ()))
    table = open_table(
        db, given, "features", options.text, endings=endings, named=named, id_fields=1
    )
    table.check_header()
    id_column = id_column_of(table, options, are_features=True)
    candidates(table, id_column, options.feature_columns, options.drop_columns)
    return table


def read_features(
    db: Database,
    opened: InputTable | Path,
    options: ReadOptions,
    bad: BadRows,
    like: Collection[str] = (),
) -> FeatureInput:
    """Choose the columns and check the rows; raises UserError for what cannot be features.

    Args:
        like: the names of the features of `features_like`.
    """
    if isinstance(opened, Path):
        return _of_arrays(db, opened)
    table, id_column = opened, id_column_of(opened, options, are_features=True)
    chosen = candidates(table, id_column, options.feature_columns, options.drop_columns)
    checks = id_checks(table, id_column, options)
    staged = table.stage([id_column, *chosen], checks, bad, multiline=True)
    staged = without_missing_words(table, staged, [id_column], options, bad)
    if not staged.num_rows:
        raise UserError(f"{table.where} has no rows")
    named = options.feature_columns is not None
    columns = choose(table, staged, chosen, named, options.fill_missing, like)
    if like and columns.filled and options.fill_missing == "mean":
        warn(
            f"warning: missing values of {table.where} get the means of this input, not those of "
            "features_like"
        )
    for column in set(table.names) - {*table.named, *chosen, id_column}:
        columns.left_out[column] = "it has no name, or pandas made it, as for numbers of rows"
    _say(table, columns, id_column, options)
    ids = ids_in(table, staged, id_column, options)
    widths = [_width(db, staged, column, id_column, table.where) for column in columns.taken]
    names = [n for c, width in zip(columns.taken, widths, strict=True) for n in _names(c, width)]
    sql = f"SELECT {_as_list(columns.taken)} FROM {staged.sql}"
    rows_per_piece = max(1, PIECE_BYTES // (8 * sum(widths)))
    return FeatureInput(
        table.where,
        (staged.num_rows, sum(widths)),
        np.dtype(np.float32),
        lambda: (_as_rows(batch.column(0)) for batch in db.batches(sql, rows_per_piece)),
        names=names if any(c.names for c in columns.taken) else None,
        ids=ids,
        columns=columns,
        counts=staged.counts | {"feature_values_filled": sum(columns.filled.values())},
    )


def _width(db: Database, staged: Staged, column: FeatureColumn, ids: str, where: str) -> int:
    """The number of the column's features; raises UserError for lists of several lengths."""
    if not column.is_list:
        return len(column.values)
    lengths = db.run(
        f"SELECT coalesce(len({column.values[0]}), -1) AS length, min({name(ids)}) "
        f"FROM {staged.sql} GROUP BY length ORDER BY length DESC"
    )
    (most, longest), (least, shortest) = lengths[0], lengths[-1]
    where = f"column '{column.column}' of {where}"
    if least < 0:
        raise UserError(
            f"{where}: ragged lists: '{shortest}' has none; fill missing ones with --fill-missing "
            "mean or zero, or leave the column out with --drop-columns"
        )
    if least < most or not most:
        raise UserError(
            f"{where}: ragged lists: {most} values for '{longest}', {least} for '{shortest}'"
        )
    return int(most)


def _as_list(columns: Iterable[FeatureColumn]) -> str:
    """The features of a row as one list, as SQL."""
    lists = []
    for is_list, group in groupby(columns, lambda column: column.is_list):
        values = [value for column in group for value in column.values]
        lists += values if is_list else [f"[{', '.join(values)}]"]
    return " || ".join(f"CAST({one} AS DOUBLE[])" for one in lists)


def _as_rows(lists: pa.Array) -> np.ndarray:
    """Features float32 [n, D], missing ones as NaN."""
    with np.errstate(over="ignore"):  # an overflow becomes infinite, which is refused later
        values = pc.list_flatten(lists).to_numpy(zero_copy_only=False).astype(np.float32)
    return values.reshape(len(lists), -1)


def _names(column: FeatureColumn, width: int) -> list[str]:
    return column.names or [f"{column.column}[{at}]" for at in range(width)]


def _say(table: InputTable, columns: ChosenColumns, id_column: str, options: ReadOptions) -> None:
    """Print the columns that are taken and not taken, by name and type."""
    taken = ", ".join(f"{c.column} {c.text}" for c in columns.taken[:20])
    more = f" and {len(columns.taken) - 20} more" if len(columns.taken) > 20 else ""
    said = f"{table.where}: features from {taken}{more}, by '{id_column}'"
    console.print(escape(said), soft_wrap=True)
    for column, why in columns.odd.items():
        warn(f"warning: column '{column}' of {table.where} became a category: {why}")
    if columns.left_out:
        left_out = ", ".join(f"{column} ({why})" for column, why in columns.left_out.items())
        console.print(escape(f"{table.where}: columns not taken: {left_out}"), soft_wrap=True)
    odd = [c.column for c in columns.taken if c.column.lower() in SUSPICIOUS]
    if odd and options.feature_columns is None:
        warn(
            f"warning: {', '.join(odd)} became features of {table.where}; if they tell the "
            "answer, leave them out with --drop-columns"
        )


def _of_arrays(db: Database, path: Path) -> FeatureInput:
    file = open_feature_file(path)
    ids = None
    if file.id_pieces is not None:
        ids = stored_ids(db, pa.chunked_array(list(map(_whole, file.id_pieces()))), file.where)
        warn_of_missing_words(db, ids)
    return FeatureInput(**vars(file), ids=ids)


def _whole(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
