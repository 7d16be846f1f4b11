"""Read features from JSON lists of feature ids.

Legend: R rows of the file, D features.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.tables.columns import Column, ids_of
from hvdtma.tables.text_io import open_text


class _Members(list):
    """The members of a JSON object as (key, value), so that repeated keys are kept."""


def read_lists(path: Path) -> tuple[Column, sp.csr_matrix, list]:
    """Ids large_string [R], binary CSR float32 [R, D], and the sorted feature ids of the columns.

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
    return ids, feat, distinct.to_pylist()


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
