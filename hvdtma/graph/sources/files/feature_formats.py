"""Features as they stand in a file: JSON lists of feature ids, or Parquet keyed by an id column.

Legend: R rows or nodes of the file, D features.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp

from hvdtma.errors import UserError
from hvdtma.graph.sources.files.columns import ID_NAMES, Column, ids_of, position_of
from hvdtma.graph.sources.files.opening import open_text


class _Members(list):
    """The members of a JSON object as (key, value), so that a key that comes twice is seen."""


def read_lists(path: Path) -> tuple[Column, sp.csr_matrix]:
    """Ids large_string [R] and binary CSR float32 [R, D]; columns are the feature ids, sorted.

    Raises UserError where it is not one JSON object of lists, or a list holds anything but
    integers (or anything but strings).
    """
    with open_text(path) as file:
        try:
            members = json.load(file, object_pairs_hook=_Members)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"'{path}' is not JSON: {error}") from None
    if not isinstance(members, _Members) or not members:
        raise UserError(f"""'{path}' must be one JSON object {{"id": [feature ids], ...}}""")
    for node, features in members:
        if type(features) is not list:
            raise UserError(f"'{path}': the features of '{node}' are not a list of feature ids")
    keys, lists = zip(*members, strict=True)
    try:
        ids = ids_of(pa.array(keys), f"'{path}'")
    except UnicodeEncodeError:
        raise UserError(f"'{path}' has ids that are not UTF-8; convert the file first") from None
    entries = _feature_ids(members, path)
    distinct = pc.unique(entries)
    distinct = distinct.take(pc.sort_indices(distinct))
    indptr = np.cumsum([0, *map(len, lists)])
    columns = np.array(pc.index_in(entries, value_set=distinct))  # a copy: Arrow's is read-only
    shape = (len(keys), len(distinct))
    feat = sp.csr_matrix((np.ones(len(columns), np.float32), columns, indptr), shape)
    feat.sum_duplicates()
    feat.data[:] = 1
    return ids, feat


def _feature_ids(members: _Members, path: Path) -> pa.Array:
    entries = list(itertools.chain.from_iterable(features for _, features in members))
    kinds = set(map(type, entries))
    if kinds in ({int}, {str}):
        try:
            return pa.array(entries)
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError) as error:
            raise UserError(f"'{path}': a feature id cannot be kept: {error}") from None
    if not kinds:
        raise UserError(f"'{path}': every list of features is empty")
    usual = str if str in kinds else int
    node, odd = next((n, f) for n, features in members for f in features if type(f) is not usual)
    raise UserError(
        f"'{path}': the list of '{node}' holds {json.dumps(odd)[:40]}; feature ids are all "
        "integers or all strings (for dense features use NPY, NPZ or Parquet)"
    )


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
