"""Splits that the user gives: read, check and look up their ids, and leave their edges out.

Legend: N nodes, E edges, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.markup import escape

from hvdtma.core.console import console, warn
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.ids.kind import TableIds, check_id_kind, common_kind, stored_ids
from hvdtma.graph.ids.node_table import NodeTable
from hvdtma.graph.ingest.node_tables import (
    id_checks,
    missing_id,
    warn_of_missing_words,
    without_missing_words,
)
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
    split, ends = _columns_of(table, options)
    _say_columns(table, split, ends, _type_column(table, ends, options))
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
    ends = _ends_of(table, [column for column in table.named if column != split], split, options)
    for end in ends:
        check_id_kind(where, end, table.types[end], options.id_type)
    return split, ends


def _ends_of(
    table: InputTable, rest: list[str], split: str, options: ReadOptions
) -> tuple[str, ...]:
    """The columns of both ends, or the one of ids, among those besides `split`."""
    if options.src_column in rest and options.dst_column in rest:
        return str(options.src_column), str(options.dst_column)
    ends = usual_ends(rest)
    if ends:
        return ends
    if options.id_column in rest:
        return (str(options.id_column),)
    rest = [column for column in rest if column != options.type_column] or rest
    if not rest:
        raise UserError(f"{table.where} has only the column '{split}'; add ids, or pairs of ids")
    others = [column for column in rest if column.lower() not in _SPLIT_COLUMNS] or rest
    usual = [column for column in others if column.lower() in ID_NAMES]
    if len(usual) == 1 and len(others) <= 2:
        return (usual[0],)
    if len(others) > 1:
        raise UserError(
            f"{table.where} has the columns {', '.join(others)} besides '{split}'; say which hold "
            "the ids: --src-column and --dst-column for links, --id-column for nodes"
        )
    return (others[0],)


def _say_columns(table: InputTable, split: str, ends: tuple[str, ...], typed: str | None) -> None:
    """Print the chosen columns, and warn of another one that may hold the parts."""
    chosen = f"of links from '{ends[0]}' to '{ends[1]}'" if len(ends) == 2 else f"by '{ends[0]}'"
    types = f"; types '{typed}'" if typed else ""
    left_out = [column for column in table.names if column not in (split, typed, *ends)]
    unread = f"; not read: {', '.join(left_out)}" if left_out else ""
    said = f"{table.where}: splits {chosen}, parts '{split}'{types}{unread}"
    console.print(escape(said), soft_wrap=True)
    for column in left_out:
        if column.lower() in _SPLIT_COLUMNS:
            warn(
                f"warning: column '{column}' of {table.where} is not read; the parts are those of "
                f"column '{split}'"
            )


def _type_column(table: InputTable, ends: tuple[str, ...], options: ReadOptions) -> str | None:
    return options.type_column if options.type_column in table.names and len(ends) == 2 else None


def _of_table(table: InputTable, options: ReadOptions, bad: BadRows) -> GivenSplits:
    db, where = table.db, table.where
    split, ends = _columns_of(table, options)
    typed = _type_column(table, ends, options)
    words = ", ".join(f"'{word}'" for word in _WORDS)
    part_word = f"lower(CAST({name(split)} AS VARCHAR))"
    checks = [Check(f"{part_word} NOT IN ({words}) OR {name(split)} IS NULL",
                    f"column '{split}' is none of train, valid, test")]  # fmt: skip
    checks += [check for end in ends for check in id_checks(table, end, options)]
    if typed:
        checks.append(missing_id(table, typed))
    named = [*ends, *([typed] if typed else [])]
    staged = table.stage([split, *named], checks, bad, multiline=False)
    staged = without_missing_words(table, staged, named, options, bad)
    ids, lengths, num_pairs, types = {}, {}, {}, {}
    kind = common_kind({table.types[end] for end in ends})
    is_typed = not table.is_text and kind == "VARCHAR"
    for part in PARTS:
        chosen = ", ".join(f"'{word}'" for word, of in _WORDS.items() if of == part)
        rows = f"(SELECT * FROM {staged.sql} WHERE {part_word} IN ({chosen}))"
        number = db.value(f"SELECT count(*) FROM {rows}")
        if not number:
            raise UserError(f"{where} has no row of the part '{part}'")
        both = " UNION ALL ".join(
            f"SELECT CAST({name(end)} AS {kind}) AS id FROM {rows}" for end in ends
        )
        key = part if len(ends) == 2 else f"{part}_node"
        loose = options.id_type == "int"
        ids[key] = TableIds(f"({both})", "id", kind, where, is_typed, loose)
        lengths[key] = number * len(ends)
        if len(ends) == 2:
            num_pairs[part] = number
        if typed:
            type_names = f"SELECT CAST({name(typed)} AS VARCHAR) AS kind FROM {rows}"
            types[part] = pa.concat_arrays([b.column(0) for b in db.batches(type_names)])
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
        stored = stored_ids(db, column, where)
        ids[key] = replace(stored, is_typed=not stored.is_integer)
        warn_of_missing_words(db, stored)
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
    direction and of any type, are left out of training. Self-loops and repeated links in valid and
    test are dropped. Raises UserError for an unknown id, and for a link in both valid and test.
    """
    raw.node_split = splits.node_split(nodes)
    links = splits.link_split(nodes)
    if links is None:
        return np.zeros(0, np.int64)
    for part, types in splits.types.items():
        links[part].edge_type = positions(types, names).astype(np.int16)
    for part in HELD_OUT_PARTS:
        links[part] = _distinct_links(raw, links[part], part, splits.where)
    _refuse_overlap(raw, links, nodes, splits.where)
    train = links["train"]
    held_out_key = np.concatenate(
        [pair_key(links[part].src, links[part].dst, raw.num_nodes) for part in HELD_OUT_PARTS]
    )
    train_key = pair_key(train.src, train.dst, raw.num_nodes)
    raw.counts["held_out_pairs_in_train"] = int(np.isin(held_out_key, train_key).sum())
    raw.src, raw.dst, raw.edge_type = train.src, train.dst, train.edge_type
    raw.link_split = links
    return np.unique(held_out_key)


def _link_keys(raw: RawGraph, pairs: Pairs) -> np.ndarray:
    """Links as rows int64 [n, 3]: the ends, in order if the graph is undirected, and the type."""
    src, dst = pairs.src, pairs.dst
    if raw.undirected:
        src, dst = np.minimum(src, dst), np.maximum(src, dst)
    kind = np.zeros(len(src), np.int64) if pairs.edge_type is None else pairs.edge_type
    return np.stack([src, dst, kind], 1).astype(np.int64)


def _distinct_links(raw: RawGraph, pairs: Pairs, part: str, where: str) -> Pairs:
    """A held-out part without self-loops and repeated links, which are counted."""
    loops = pairs.src == pairs.dst
    first = np.zeros(len(loops), bool)
    first[np.unique(_link_keys(raw, pairs), axis=0, return_index=True)[1]] = True
    kept = first & ~loops
    for key, dropped in (("held_out_loops", loops), ("held_out_links_repeated", ~loops & ~first)):
        if dropped.any():
            raw.counts[key] = raw.counts.get(key, 0) + int(dropped.sum())
    if kept.all():
        return pairs
    if not kept.any():
        raise UserError(f"{where}: the part '{part}' holds self-loops only")
    return pairs.take(kept)


def _refuse_overlap(raw: RawGraph, links: dict[str, Pairs], nodes: NodeTable, where: str) -> None:
    """Raise UserError for a link that is in both valid and test."""
    one, other = (_link_keys(raw, links[part]) for part in HELD_OUT_PARTS)
    both, count = np.unique(np.concatenate([one, other]), axis=0, return_counts=True)
    number = int((count > 1).sum())
    if number:
        src, dst, _ = both[np.argmax(count > 1)]
        raise UserError(
            f"{where}: the link '{nodes.ids[src]}', '{nodes.ids[dst]}' is in valid and in test "
            f"({number:,} such links); make the parts disjoint"
        )
