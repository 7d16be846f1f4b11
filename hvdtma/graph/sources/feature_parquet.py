"""Features in Parquet, keyed by an id column.

Legend: R rows, D features.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hvdtma.errors import UserError
from hvdtma.graph.sources.columns import ID_NAMES, Column, ids_of, position_of


def read_feature_parquet(
    path: Path, id_column: str | None = None
) -> tuple[Column, np.ndarray, list[str] | None, int]:
    """Ids [R], features float32 [R, D], their names (None from a list), columns left out.

    The id column is `id_column`, else the first called id, node or node_id, else the first. The
    features are the one column of lists, all of one length, or else every other numeric column.
    A null counts as NaN. Raises UserError for an unknown column, ragged lists, several columns of
    lists, and where there are no features.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"'{path}' cannot be read as Parquet: {error}") from None
    names = table.column_names
    if not names:
        raise UserError(f"'{path}' has no columns")
    if id_column is None:
        id_column = next((name for name in names if name.lower() in ID_NAMES), names[0])
    position = position_of(id_column, names, f"'{path}'")
    ids = ids_of(table.column(position), f"column '{id_column}' of '{path}'")
    table = table.remove_column(position)
    lists = [name for name in table.column_names if _is_list(table.column(name).type)]
    numeric = [name for name in table.column_names if _is_number(table.column(name).type)]
    if len(lists) > 1 or not (lists or numeric):
        raise UserError(
            f"'{path}' has {len(lists)} columns of lists and {len(numeric)} of numbers beside "
            f"'{id_column}'; valid: one column of lists, or columns of numbers"
        )
    if lists:
        feat = _from_lists(table.column(lists[0]), ids, f"column '{lists[0]}' of '{path}'")
        return ids, feat, None, len(table.column_names) - 1
    feat = np.empty((table.num_rows, len(numeric)), np.float32)
    for place, name in enumerate(numeric):
        feat[:, place] = table.column(name).cast(pa.float32(), safe=False).to_numpy()
    return ids, feat, numeric, len(table.column_names) - len(numeric)


def _from_lists(column: pa.ChunkedArray, ids: Column, where: str) -> np.ndarray:
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy()
    if not len(lengths):
        return np.empty((0, 0), np.float32)
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd) or lengths[0] < 0:
        row = int(odd[0]) if len(odd) else 0
        raise UserError(
            f"{where}: ragged lists: {max(lengths[0], 0)} values for '{ids[0]}', "
            f"{max(lengths[row], 0)} for '{ids[row]}'"
        )
    values = pc.list_flatten(column)
    if not _is_number(values.type):
        raise UserError(f"{where} holds lists of {values.type}; features are numbers")
    return values.cast(pa.float32(), safe=False).to_numpy().reshape(len(lengths), -1)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
