"""Splits that the user gives: read, check and look up their ids, and leave their edges out.

Legend: N nodes, E edges, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.ids.kind import TableIds, check_id_kind, stored_ids
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.node_tables import missing_id, missing_word_checks
from hvdtma.graph.ingest.options import ReadOptions
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.graph.splits import pair_key
from hvdtma.tables.array_file import load_npz
from hvdtma.tables.columns import ID_NAMES, ids_of, positions, usual_ends
from hvdtma.tables.database import Database, name
from hvdtma.tables.inputs import TABLE_FILES
from hvdtma.tables.rejects import BadRows
from hvdtma.tables.table import Check, InputTable, open_table

_WORDS = {"train": "train", "training": "train", "valid": "valid", "val": "valid",
          "validation": "valid", "dev": "valid", "test": "test"}  # fmt: skip
_SPLIT_COLUMNS = ("split", "part", "set", "fold", "subset")


@dataclass(frozen=True)
class GivenSplits:
    """The splits in the user's ids.

    Attributes:
        where: for messages.
        ids: by key (`train`, `valid`, `test`: src then dst [2n]; `valid_neg`, `test_neg` [n*K];
            `train_node`, ... [n]) the columns of ids.
        lengths: by key the number of ids.
        num_pairs: n by part; empty if there is a node split only.
        types: the names of edge types [n] by part, or empty.
        counts: notes for the build's report.
    """

    where: str
    ids: dict[str, TableIds]
    lengths: dict[str, int]
    num_pairs: dict[str, int]
    types: dict[str, pa.Array] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def link_split(self, nodes: NodeTable) -> dict[str, Pairs] | None:
        """Pairs of node numbers by part, without types; raises UserError for an unknown id."""
        if not self.num_pairs:
            return None
        split = {}
        for part, num in self.num_pairs.items():
            src, dst = self._positions(part, nodes).reshape(2, num)
            has_neg = f"{part}_neg" in self.ids
            neg = self._positions(f"{part}_neg", nodes).reshape(num, -1) if has_neg else None
            split[part] = Pairs(src, dst, neg)
        return split

    def node_split(self, nodes: NodeTable) -> dict[str, np.ndarray] | None:
        """Node numbers by part, ascending; raises UserError for an unknown or repeated id."""
        if "train_node" not in self.ids:
            return None
        split = {part: np.sort(self._positions(f"{part}_node", nodes)) for part in PARTS}
        numbers, count = np.unique(np.concatenate(list(split.values())), return_counts=True)
        if np.any(count > 1):
            node = nodes.ids[numbers[np.argmax(count > 1)]]
            raise UserError(f"{self.where}: node '{node}' is in the split of nodes twice")
        return split

    def _positions(self, key: str, nodes: NodeTable) -> np.ndarray:
        positions = nodes.positions(self.ids[key]).astype(np.int64)
        unknown = np.flatnonzero(positions < 0)
        if len(unknown):
            column = self.ids[key]
            first = nodes.db.value(
                f"SELECT {name(column.column)} FROM {column.sql} LIMIT 1 OFFSET {unknown[0]}"
            )
            raise UserError(
                f"{self.where}: '{key}' has the id '{first}', which is in no edge and has no "
                "features (without --edges, all ids of the splits are nodes)"
            )
        return positions


_NODE_KEYS = tuple(f"{part}_node" for part in PARTS)
_TYPE_KEYS = tuple(f"{part}_type" for part in PARTS)
_NEG_KEYS = ("valid_neg", "test_neg")
SPLIT_KEYS = [*PARTS, *_NEG_KEYS, *_TYPE_KEYS, *_NODE_KEYS]


def open_splits(db: Database, given: Any, options: ReadOptions) -> InputTable | Path:
    """Open the splits of links, of nodes, or both; rows are not read yet.

    Returns a table with a column `split` of the words train, valid and test, and the columns of an
    edge (and `--type-column`), or an id column; or the path of an NPZ file, see `_of_arrays`.
    """
    if isinstance(given, str | Path) and str(given).lower().endswith(".npz"):
        path = Path(given).expanduser()
        if not path.is_file():
            raise UserError(f"there is no splits file '{path}'")
        return path
    named = (options.src_column, options.dst_column, options.id_column, "split")
    endings = [".npz", *TABLE_FILES]
    table = open_table(db, given, "splits", options.text, endings=endings, named=named, id_fields=1)
    _columns_of(table, options)
    return table


def read_splits(
    db: Database, opened: InputTable | Path, options: ReadOptions, bad: BadRows
) -> GivenSplits:
    """Read the splits; raises UserError for bad rows, and for parts without rows."""
    if isinstance(opened, Path):
        return _of_arrays(db, opened)
    return _of_table(opened, options, bad)


def _columns_of(table: InputTable, options: ReadOptions) -> tuple[str, tuple[str, ...]]:
    """The column of the parts, and that of ids or those of both ends."""
    where = table.where
    known = {column.lower(): column for column in table.names}
    split = next((known[word] for word in _SPLIT_COLUMNS if word in known), None)
    if split is None:
        raise UserError(
            f"{where} has the columns {', '.join(table.names)}; a table of splits has a column "
            "'split' with the words train, valid and test"
        )
    ends: tuple[str, ...]
    if options.src_column in table.names and options.dst_column in table.names:
        ends = (str(options.src_column), str(options.dst_column))
    else:
        ends = usual_ends(table.names) or ()
    if not ends:
        rest = [column for column in table.names if column != split]
        if not rest:
            raise UserError(f"{where} has only the column '{split}'; add ids, or pairs of ids")
        usual = [column for column in rest if column.lower() in ID_NAMES]
        ends = (options.id_column if options.id_column in rest else (usual or rest)[0],)
    for end in ends:
        check_id_kind(where, end, table.types[end], options.id_type)
    return split, ends


def _of_table(table: InputTable, options: ReadOptions, bad: BadRows) -> GivenSplits:
    db, where = table.db, table.where
    split, ends = _columns_of(table, options)
    typed = options.type_column if options.type_column in table.names and len(ends) == 2 else None
    words = ", ".join(f"'{word}'" for word in _WORDS)
    part_word = f"lower(CAST({name(split)} AS VARCHAR))"
    checks = [Check(f"{part_word} NOT IN ({words}) OR {name(split)} IS NULL",
                    f"column '{split}' is none of train, valid, test")]  # fmt: skip
    checks += [missing_id(table, end) for end in ends]
    checks += [check for end in ends for check in missing_word_checks(table, end, options)]
    staged = table.stage([split, *ends, *([typed] if typed else [])], checks, bad, multiline=False)
    ids, lengths, num_pairs, types = {}, {}, {}, {}
    for part in PARTS:
        chosen = ", ".join(f"'{word}'" for word, of in _WORDS.items() if of == part)
        rows = f"(SELECT * FROM {staged.sql} WHERE {part_word} IN ({chosen}))"
        number = db.value(f"SELECT count(*) FROM {rows}")
        if not number:
            raise UserError(f"{where} has no row of the part '{part}'")
        both = " UNION ALL ".join(f"SELECT {name(end)} AS id FROM {rows}" for end in ends)
        key = part if len(ends) == 2 else f"{part}_node"
        loose = options.id_type == "int"
        ids[key] = TableIds(f"({both})", "id", table.types[ends[0]], where, loose=loose)
        lengths[key] = number * len(ends)
        if len(ends) == 2:
            num_pairs[part] = number
        if typed:
            kind = f"SELECT CAST({name(typed)} AS VARCHAR) AS kind FROM {rows}"
            types[part] = pa.concat_arrays([b.column(0) for b in db.batches(kind)])
    return GivenSplits(where, ids, lengths, num_pairs, types, staged.counts)


def _of_arrays(db: Database, path: Path) -> GivenSplits:
    """The splits of a .npz file: of links, of nodes, or both.

    Links: ids `train`, `valid`, `test` [n, 2]; optional `valid_neg`, `test_neg` [n, K]; all or none
    of `train_type`, `valid_type`, `test_type` [n]. Nodes: ids `train_node`, `valid_node`,
    `test_node` [n].

    Raises UserError for missing and unknown keys, empty parts, wrong shapes and types, and two K.
    """
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
    ids, lengths = {}, {}
    for key, array in arrays.items():
        if key in _TYPE_KEYS:
            continue
        where = f"'{key}' of '{path}'"
        column = ids_of(array.ravel(order="F" if key in PARTS else "C"), where)
        ids[key] = stored_ids(db, column, where)
        lengths[key] = len(column)
    types = {
        key.removesuffix("_type"): ids_of(arrays[key], f"'{key}' of '{path}'").cast(pa.string())
        for key in _TYPE_KEYS
        if key in arrays
    }
    num_pairs = {part: len(arrays[part]) for part in PARTS if part in arrays}
    return GivenSplits(f"'{path}'", ids, lengths, num_pairs, types)


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


def check_types_match(where: str, edges_are_typed: bool, pairs_are_typed: bool) -> None:
    """Raise UserError if only one of edges and pairs has types."""
    if edges_are_typed == pairs_are_typed:
        return
    has, lacks = ("the edges", "the pairs") if edges_are_typed else ("the pairs", "the edges")
    raise UserError(
        f"{where}: {has} have types but {lacks} do not; give both --type-column and "
        "train_type, valid_type and test_type in the splits, or neither"
    )


def take_splits(
    raw: RawGraph, splits: GivenSplits, nodes: NodeTable, names: list[str]
) -> np.ndarray:
    """Set the splits of `raw`, and its edges to the train pairs; `names` are the edge types.

    Returns the keys of valid and test pairs, int64, ascending. Edges between such pairs, in either
    direction and of any type, are left out of training. Raises UserError for an unknown id.
    """
    raw.node_split = splits.node_split(nodes)
    links = splits.link_split(nodes)
    if links is None:
        return np.zeros(0, np.int64)
    for part, types in splits.types.items():
        links[part].edge_type = positions(types, names).astype(np.int16)
    train = links["train"]
    held_out_key = np.concatenate(
        [pair_key(links[part].src, links[part].dst, raw.num_nodes) for part in HELD_OUT_PARTS]
    )
    train_key = pair_key(train.src, train.dst, raw.num_nodes)
    raw.counts["held_out_pairs_in_train"] = int(np.isin(held_out_key, train_key).sum())
    raw.src, raw.dst, raw.edge_type = train.src, train.dst, train.edge_type
    raw.link_split = links
    return np.unique(held_out_key)
