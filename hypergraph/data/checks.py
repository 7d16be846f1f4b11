"""Checks of arrays that a user gives; errors name the row that is wrong.

Legend: n rows, W columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hvdtma.core.errors import UserError

_LARGEST_KEY = np.iinfo(np.int64).max


def index_rows(values: Any, width: int, where: str) -> np.ndarray:
    """An array of integers int64 [n, width]; raises UserError for another shape or type."""
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
    """An array of numbers float32 [num_rows]; raises UserError for NaN and infinities."""
    array = np.asarray(values)
    if array.shape != (num_rows,) or array.dtype.kind not in "fiub":
        raise UserError(
            f"{where} are {array.dtype} of shape {list(array.shape)}; give one number for each of "
            f"the {num_rows:,} rows"
        )
    with np.errstate(over="ignore"):  # numbers that overflow become infinite: an error below
        numbers = np.ascontiguousarray(array, np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(
            f"{where}: row {bad[0]} is {array[bad[0]]}; all must be finite float32 numbers: leave "
            "such rows out, or replace the value"
        )
    return numbers


def row_keys(rows: np.ndarray) -> np.ndarray:
    """Keys int64 [n] of the rows of int64 [n, W]: equal for equal rows, else distinct."""
    key = np.zeros(len(rows), np.int64)
    size = 1
    for column in rows.T:
        least = int(column.min(initial=0))
        width = int(column.max(initial=0)) - least + 1
        if size * width > _LARGEST_KEY:  # replace the keys so far by consecutive numbers
            seen, key = np.unique(key, return_inverse=True)
            distinct, column = np.unique(column, return_inverse=True)
            least, size, width = 0, len(seen), len(distinct)
        key = key * width + (column - least)
        size *= width
    return key


def first_repeat(values: np.ndarray) -> int | None:
    """The position of the first value that occurred before; None if all are distinct."""
    _, first = np.unique(values, return_index=True)
    if len(first) == len(values):
        return None
    is_first = np.zeros(len(values), bool)
    is_first[first] = True
    return int(np.argmin(is_first))
