"""Read features from JSON lists of feature ids, and from Parquet files with an id column.

Legend: R rows of the file, D features.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.tables.columns import ID_NAMES, Column, ids_of, position_of
from hvdtma.tables.opening import open_text
from hvdtma.tables.parquet import open_parquet, parquet_pieces


class _Members(list):
    """The members of a JSON object as (key, value), so that repeated keys are kept."""


def read_lists(path: Path) -> tuple[Column, sp.csr_matrix]:
    """Ids large_string [R] and binary CSR float32 [R, D]; the columns are the sorted feature ids.

    Raises UserError for a file that is not one JSON object of lists, and for lists that hold
    anything but integers only or strings only.
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


@dataclass(frozen=True)
class FeatureParquet:
    """Features of a Parquet file; only its schema and the first row have been read.

    Attributes:
        path: the file.
        num_rows, dim: R and D.
        id_column: the name of the id column.
        numeric: the names of the columns of numbers; empty if there is a column of lists.
        lists: the name of the column of lists, or None.
        columns_left_out: the number of other columns.
    """

    path: Path
    num_rows: int
    dim: int
    id_column: str
    numeric: list[str]
    lists: str | None
    columns_left_out: int

    def ids(self) -> Iterator[Column]:
        """The ids of all rows, some at a time; raises UserError for a missing id."""
        first = 0
        for batch in parquet_pieces(self.path, [self.id_column]):
            where = f"column '{self.id_column}' of '{self.path}'"
            yield ids_of(batch.column(self.id_column), where, first)
            first += len(batch)

    def rows(self, step: int) -> Iterator[np.ndarray]:
        """Features float32 [n, D], nulls as NaN; raises UserError for ragged lists."""
        first_id = None
        columns = [self.id_column, *([self.lists] if self.lists else self.numeric)]
        for batch in parquet_pieces(self.path, columns, step):
            if self.lists:
                ids = batch.column(self.id_column)
                first_id = first_id or ids[0]
                where = f"column '{self.lists}' of '{self.path}'"
                yield _from_lists(batch.column(self.lists), self.dim, first_id, ids, where)
                continue
            feat = np.empty((len(batch), self.dim), np.float32)
            for place, name in enumerate(self.numeric):
                feat[:, place] = _single(batch.column(name))
            yield feat


def open_feature_parquet(path: Path, id_column: str | None = None) -> FeatureParquet:
    """Find the ids and the features in a Parquet file.

    The id column is `id_column`, else the first one named id, node or node_id, else the first. The
    features are the column of lists, which have equal lengths, or else all other numeric columns.
    Raises UserError for an unknown column, several columns of lists, and a file without features.
    """
    file = open_parquet(path)
    names = file.schema_arrow.names
    if not names:
        raise UserError(f"'{path}' has no columns")
    if id_column is None:
        id_column = next((name for name in names if name.lower() in ID_NAMES), names[0])
    position_of(id_column, names, f"'{path}'")
    others = [field for field in file.schema_arrow if field.name != id_column]
    lists = [field.name for field in others if _is_list(field.type)]
    numeric = [field.name for field in others if _is_number(field.type)]
    if len(lists) > 1 or not (lists or numeric):
        raise UserError(
            f"'{path}' has {len(lists)} columns of lists and {len(numeric)} of numbers besides "
            f"'{id_column}'; valid: one column of lists, or columns of numbers"
        )
    num_rows = file.metadata.num_rows
    if not lists:
        left_out = len(others) - len(numeric)
        return FeatureParquet(path, num_rows, len(numeric), id_column, numeric, None, left_out)
    first = next(parquet_pieces(path, lists, 1), None)
    dim = 0 if first is None else pc.list_value_length(first.column(lists[0]))[0].as_py() or 0
    return FeatureParquet(path, num_rows, dim, id_column, [], lists[0], len(others) - 1)


def _from_lists(
    column: pa.Array, dim: int, first_id: pa.Scalar, ids: pa.Array, where: str
) -> np.ndarray:
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy()
    odd = np.flatnonzero(lengths != dim)
    if len(odd):
        row = int(odd[0])
        raise UserError(
            f"{where}: ragged lists: {dim} values for '{first_id}', "
            f"{max(lengths[row], 0)} for '{ids[row]}'"
        )
    values = pc.list_flatten(column)
    if not _is_number(values.type):
        raise UserError(f"{where} holds lists of {values.type}; features are numbers")
    return _single(values).reshape(len(lengths), -1)


def _single(values: pa.Array) -> np.ndarray:
    return values.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
