"""Splits that a user brings along: pairs and nodes held out, in the user's own ids.

Legend: n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hvdtma.errors import UserError, nearest
from hvdtma.graph.raw import PARTS
from hvdtma.graph.sources.arrays import load_npz, suffix_of
from hvdtma.graph.sources.columns import are_strings, ids_of
from hvdtma.graph.sources.split_table import GivenSplits

_NODE_KEYS = tuple(f"{part}_node" for part in PARTS)
_TYPE_KEYS = tuple(f"{part}_type" for part in PARTS)
_NEG_KEYS = ("valid_neg", "test_neg")
SPLIT_KEYS = [*PARTS, *_NEG_KEYS, *_TYPE_KEYS, *_NODE_KEYS]


def read_splits(path: Path) -> GivenSplits:
    """The splits of a .npz file.

    For links `train`, `valid`, `test` are ids [n, 2]; `valid_neg`, `test_neg` (optional) [n, K];
    `train_type`, `valid_type`, `test_type` (all or none) [n]. For nodes `train_node`,
    `valid_node`, `test_node` are ids [n]. Either or both.

    Raises UserError for missing and unknown keys, empty parts, wrong shapes and types, differing K.
    """
    suffix_of(path, [".npz"], "splits")
    arrays = load_npz(path)
    if not isinstance(arrays, dict):
        raise UserError(f"'{path}' is a SciPy matrix; a splits file holds {', '.join(SPLIT_KEYS)}")
    arrays = {key: np.atleast_1d(array) for key, array in arrays.items()}
    _check_keys(arrays, path)
    for key, array in arrays.items():
        _check_shape(key, array, arrays, path)
    if len({arrays[key].shape[1] for key in _NEG_KEYS if key in arrays}) > 1:
        shapes = " and ".join(f"{key} {list(arrays[key].shape)}" for key in _NEG_KEYS)
        raise UserError(f"'{path}': {shapes}: both must have the same number of columns")
    ids = {
        key: ids_of(array.ravel(order="F" if key in PARTS else "C"), f"'{key}' of '{path}'")
        for key, array in arrays.items()
        if key not in _TYPE_KEYS
    }
    strings = any(are_strings(column) for column in ids.values())
    types = {
        key.removesuffix("_type"): ids_of(arrays[key], f"'{key}' of '{path}'")
        for key in _TYPE_KEYS
        if key in arrays
    }
    num_pairs = {part: len(arrays[part]) for part in PARTS if part in arrays}
    return GivenSplits(path, ids, num_pairs, types).as_kind(strings)


def _check_keys(arrays: dict[str, np.ndarray], path: Path) -> None:
    for key in arrays:
        if key not in SPLIT_KEYS:
            raise UserError(f"'{path}' has the unknown key '{key}'; {nearest(key, SPLIT_KEYS)}")
    wanted = [keys for keys in (PARTS, _NODE_KEYS, _TYPE_KEYS) if set(keys) & set(arrays)]
    if any(key in arrays for key in (*_NEG_KEYS, *_TYPE_KEYS)) or not wanted:
        wanted.append(PARTS)
    missing = [key for keys in wanted for key in keys if key not in arrays]
    if missing:
        raise UserError(
            f"'{path}' lacks {', '.join(dict.fromkeys(missing))}; a splits file holds "
            f"{', '.join(PARTS)} [n, 2] or {', '.join(_NODE_KEYS)} [n]"
        )


def _check_shape(key: str, array: np.ndarray, arrays: dict[str, np.ndarray], path: Path) -> None:
    num = len(arrays[key.split("_")[0]]) if key in (*_NEG_KEYS, *_TYPE_KEYS) else "n"
    if key in PARTS:
        valid, fits = "[n, 2]", array.ndim == 2 and array.shape[1] == 2
    elif key in _NEG_KEYS:
        valid, fits = f"[{num}, K]", array.ndim == 2 and len(array) == num and array.shape[1] > 0
    else:
        valid, fits = f"[{num}]", array.ndim == 1 and num in ("n", len(array))
    if not fits:
        raise UserError(f"'{path}': '{key}' has shape {list(array.shape)}; it must be {valid}")
    if not len(array):
        raise UserError(f"'{path}': '{key}' is empty; every part needs at least one")
