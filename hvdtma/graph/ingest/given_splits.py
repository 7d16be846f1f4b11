"""Splits that the user gives: read, check and look up their ids, and leave their edges out.

Legend: N nodes, E edges, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.ids.table import IdTable
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.graph.splits import pair_key
from hvdtma.tables.columns import Column, are_strings, as_kind, ids_of
from hvdtma.tables.opening import load_npz, suffix_of


@dataclass(frozen=True)
class GivenSplits:
    """The checked arrays of a splits file, in the user's ids.

    Attributes:
        path: the file.
        ids: by key (`train`, `valid`, `test`: src then dst [2n]; `valid_neg`, `test_neg` [n*K];
            `train_node`, ... [n]) ids, all int64 or all large_string.
        num_pairs: n by part; empty if the file has a node split only.
        types: the names of edge types [n] by part, or empty.
    """

    path: Path
    ids: dict[str, Column]
    num_pairs: dict[str, int]
    types: dict[str, Column] = field(default_factory=dict)

    @property
    def are_strings(self) -> bool:
        """Whether the ids are strings, not integers."""
        return any(are_strings(ids) for ids in self.ids.values())

    def as_kind(self, strings: bool) -> GivenSplits:
        """The splits with ids as strings or as integers; raises UserError if they cannot be."""
        ids = {k: as_kind(v, strings, f"'{k}' of '{self.path}'") for k, v in self.ids.items()}
        return GivenSplits(self.path, ids, self.num_pairs, self.types)

    def link_split(self, table: IdTable) -> dict[str, Pairs] | None:
        """Pairs of node numbers by part, without types; raises UserError for an unknown id."""
        if not self.num_pairs:
            return None
        split = {}
        for part, num in self.num_pairs.items():
            src, dst = self._positions(part, table).reshape(2, num)
            has_neg = f"{part}_neg" in self.ids
            neg = self._positions(f"{part}_neg", table).reshape(num, -1) if has_neg else None
            split[part] = Pairs(src, dst, neg)
        return split

    def node_split(self, table: IdTable) -> dict[str, np.ndarray] | None:
        """Node numbers by part, ascending; raises UserError for an unknown or repeated id."""
        if "train_node" not in self.ids:
            return None
        split = {part: np.sort(self._positions(f"{part}_node", table)) for part in PARTS}
        nodes, count = np.unique(np.concatenate(list(split.values())), return_counts=True)
        if np.any(count > 1):
            node = table.ids[nodes[np.argmax(count > 1)]]
            raise UserError(f"'{self.path}': node '{node}' is in the split of nodes twice")
        return split

    def _positions(self, key: str, table: IdTable) -> np.ndarray:
        positions = table.lookup(self.ids[key])
        unknown = np.flatnonzero(positions < 0)
        if len(unknown):
            raise UserError(
                f"'{self.path}': '{key}' has the id '{self.ids[key][int(unknown[0])]}', which is "
                "in no edge and has no features (without --edges, all ids of the splits are nodes)"
            )
        return positions


_NODE_KEYS = tuple(f"{part}_node" for part in PARTS)
_TYPE_KEYS = tuple(f"{part}_type" for part in PARTS)
_NEG_KEYS = ("valid_neg", "test_neg")
SPLIT_KEYS = [*PARTS, *_NEG_KEYS, *_TYPE_KEYS, *_NODE_KEYS]


def read_splits(path: Path) -> GivenSplits:
    """Read the splits of a .npz file: of links, of nodes, or both.

    Links: ids `train`, `valid`, `test` [n, 2]; optional `valid_neg`, `test_neg` [n, K]; all or none
    of `train_type`, `valid_type`, `test_type` [n]. Nodes: ids `train_node`, `valid_node`,
    `test_node` [n].

    Raises UserError for missing and unknown keys, empty parts, wrong shapes and types, and two K.
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
    required = [keys for keys in (PARTS, _NODE_KEYS, _TYPE_KEYS) if set(keys) & set(arrays)]
    if any(key in arrays for key in (*_NEG_KEYS, *_TYPE_KEYS)) or not required:
        required.append(PARTS)
    missing = [key for keys in required for key in keys if key not in arrays]
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
        raise UserError(f"'{path}': '{key}' is empty; every part needs at least one row")


def check_types_match(path: Path, edges_are_typed: bool, pairs_are_typed: bool) -> None:
    """Raise UserError if only one of edges and pairs has types."""
    if edges_are_typed == pairs_are_typed:
        return
    has, lacks = ("the edges", "the pairs") if edges_are_typed else ("the pairs", "the edges")
    raise UserError(
        f"'{path}': {has} have types but {lacks} do not; give both --type-column and "
        "train_type, valid_type and test_type in the splits, or neither"
    )


def take_splits(raw: RawGraph, splits: GivenSplits, table: IdTable, names: list[str]) -> np.ndarray:
    """Set the splits of `raw`, and its edges to the train pairs; `names` are the edge types.

    Returns the keys of valid and test pairs, int64, ascending. Edges between such pairs, in either
    direction and of any type, are left out of training. Raises UserError for an unknown id.
    """
    raw.node_split = splits.node_split(table)
    links = splits.link_split(table)
    if links is None:
        return np.zeros(0, np.int64)
    known = pa.array(names, pa.large_string())
    for part, types in splits.types.items():
        codes = pc.index_in(types.cast(pa.large_string()), value_set=known)
        links[part].edge_type = codes.to_numpy().astype(np.int16)
    train = links["train"]
    held_out_key = np.concatenate(
        [pair_key(links[part].src, links[part].dst, raw.num_nodes) for part in HELD_OUT_PARTS]
    )
    train_key = pair_key(train.src, train.dst, raw.num_nodes)
    raw.counts["held_out_pairs_in_train"] = int(np.isin(held_out_key, train_key).sum())
    raw.src, raw.dst, raw.edge_type = train.src, train.dst, train.edge_type
    raw.link_split = links
    return np.unique(held_out_key)
