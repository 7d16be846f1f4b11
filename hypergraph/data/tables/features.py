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
from hvdtma.tables.features import open_features
from hvdtma.tables.opening import TEXT
from hypergraph.data.modality import Features
from hypergraph.data.tables.columns import as_ids, as_numbers, column_names, read_columns


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
    if path.name.lower().removesuffix(".gz").endswith(TEXT):
        return _from_text(path, id_column)
    file = open_features(path, id_column)
    if file.ids is None:
        ids = NodeIds.counted(file.shape[0])
    else:
        columns = [chunk for piece in file.ids() for chunk in _chunks(piece)]
        ids = NodeIds.of(pa.chunked_array(columns))
    features = file.sparse
    if features is None:
        features = np.concatenate(list(file.pieces(int)))
    return FeatureTable(features, ids, file.ids is None)


def _from_text(path: Path, id_column: str | None) -> FeatureTable:
    names = column_names(path, () if id_column is None else (id_column,))
    if id_column is None:
        id_column = next((name for name in names if name.lower() in ID_NAMES), names[0])
    position_of(id_column, names, f"'{path}'")
    others = [name for name in names if name != id_column]
    if not others:
        raise UserError(f"'{path}' has only the id column '{id_column}'; add columns of numbers")
    ids, *columns = read_columns(path, [id_column, *others])
    numbers = [
        as_numbers(column, f"column '{name}' of '{path}'")
        for name, column in zip(others, columns, strict=True)
    ]
    return FeatureTable(
        np.stack(numbers, 1), NodeIds.of(as_ids(ids, f"column '{id_column}' of '{path}'"))
    )


def _chunks(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]
