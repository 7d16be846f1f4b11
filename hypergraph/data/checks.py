"""Looks at arrays that a user hands in; what is wrong is said with the place where it is.

Legend: n rows, W columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hvdtma.core.errors import UserError

_LARGEST_KEY = np.iinfo(np.int64).max


def index_rows(values: Any, width: int, where: str) -> np.ndarray:
    """Whole numbers int64 [n, width]; raises UserError for another shape or type."""
    array = np.asarray(values)
    if not array.size:
        array = array.reshape(0, width).astype(np.int64)
    if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "iu":
        raise UserError(
            f"{where} is {array.dtype} of shape {list(array.shape)}; "
            f"it must be whole numbers [n, {width}]"
        )
    return np.ascontiguousarray(array, np.int64)


def finite_numbers(values: Any, num_rows: int, where: str) -> np.ndarray:
    """Numbers float32 [num_rows]; raises UserError naming the first that is NaN or infinite."""
    array = np.asarray(values)
    if array.shape != (num_rows,) or array.dtype.kind not in "fiub":
        raise UserError(
            f"{where}: {array.dtype} of shape {list(array.shape)}; it must be one number for "
            f"each of the {num_rows:,} rows"
        )
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
        numbers = np.ascontiguousarray(array, np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(
            f"{where}: row {bad[0]} is {array[bad[0]]}; every one must be a finite float32 "
            "number: leave such rows out, or replace the value"
        )
    return numbers


def row_keys(rows: np.ndarray) -> np.ndarray:
    """One int64 [n] for each row of int64 [n, W], the same exactly where rows are the same."""
    key = np.zeros(len(rows), np.int64)
    size = 1
    for column in rows.T:
        least = int(column.min(initial=0))
        width = int(column.max(initial=0)) - least + 1
        if size * width > _LARGEST_KEY:  # number what has come so far anew
            seen, key = np.unique(key, return_inverse=True)
            distinct, column = np.unique(column, return_inverse=True)
            least, size, width = 0, len(seen), len(distinct)
        key = key * width + (column - least)
        size *= width
    return key


def first_repeat(values: np.ndarray) -> int | None:
    """Where a value stands that came before; None where all are distinct."""
    _, first = np.unique(values, return_index=True)
    if len(first) == len(values):
        return None
    came_first = np.zeros(len(values), bool)
    came_first[first] = True
    return int(np.argmin(came_first))
