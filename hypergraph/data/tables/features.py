"""Features of a modality from a table, or from any feature file that graphs may have.

Legend: N items, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import ID_NAMES, position_of
from hvdtma.tables.features import checked_features, open_feature_file
from hvdtma.tables.inputs import TEXT, ending_of
from hypergraph.data.modality import Features
from hypergraph.data.tables.columns import as_ids, as_numbers, column_names, read_columns

ARRAYS = (".npy", ".npz", ".json")


@dataclass(frozen=True)
class FeatureTable:
    """Features of items.

    Attributes:
        features: [N, D].
        ids: the ids of the items.
        counted: the file has no ids; row i belongs to the id i.
    """

    features: Features
    ids: NodeIds
    counted: bool = False


def read_feature_table(path: Path, id_column: str | None) -> FeatureTable:
    """Read features from CSV or TSV (gzipped or not), Parquet, NPY, NPZ or JSON.

    Args:
        id_column: None: a column with a usual name such as `id`, else the first one.

    Raises UserError for a missing file, an unknown ending or column, and values that are not
    numbers.
    """
    if ending_of(path) not in ARRAYS:
        return _from_table(path, id_column)
    if not path.is_file():
        raise UserError(f"there is no features file '{path}'")
    file = open_feature_file(path)
    if file.id_pieces is None:
        ids = NodeIds.counted(file.shape[0])
    else:
        columns = [chunk for piece in file.id_pieces() for chunk in _chunks(piece)]
        ids = NodeIds.of(pa.chunked_array(columns))
    features = file.sparse
    if features is None:
        features = checked_features(np.concatenate(list(file.read())), f"'{path}'")
    return FeatureTable(features, ids, file.id_pieces is None)


def _from_table(path: Path, id_column: str | None) -> FeatureTable:
    """Columns of numbers, or lists of numbers of one length; text of typed tables is left out."""
    names = column_names(path, () if id_column is None else (id_column,))
    if id_column is None:
        id_column = next((name for name in names if name.lower() in ID_NAMES), names[0])
    position_of(id_column, names, f"'{path}'")
    others = [name for name in names if name != id_column]
    if not others:
        raise UserError(f"'{path}' has only the id column '{id_column}'; add columns of numbers")
    ids, *columns = read_columns(path, [id_column, *others])
    typed = ending_of(path) not in TEXT
    numbers = []
    for name, column in zip(others, columns, strict=True):
        where = f"column '{name}' of '{path}'"
        if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
            numbers.append(_lists(column, where))
        elif not (typed and pa.types.is_string(column.type)):
            numbers.append(as_numbers(column, where)[:, None])
    if not numbers:
        raise UserError(f"'{path}' has no columns of numbers or of lists of numbers")
    features = np.concatenate(numbers, 1)
    return FeatureTable(features, NodeIds.of(as_ids(ids, f"column '{id_column}' of '{path}'")))


def _lists(column: pa.ChunkedArray, where: str) -> np.ndarray:
    rows = column.to_pylist()
    lengths = {0 if row is None else len(row) for row in rows}
    if len(lengths) > 1:
        raise UserError(f"{where} has ragged lists, of {min(lengths)} to {max(lengths)} values")
    return np.array(rows, np.float64)


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]
