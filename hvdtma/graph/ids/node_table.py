"""The nodes of a graph by their ids, and the node numbers of ids.

Node numbers are the places of the ids in ascending order: integers by value, strings by their
UTF-8 bytes. Dense integers go through a bitmap, which is several times faster; all other ids are
sorted and joined by DuckDB, on disk if they do not fit.

Legend: N nodes, n ids of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from hvdtma.core.console import stage
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.ids.bitmap import BitmapSet, BitmapTable
from hvdtma.graph.ids.kind import TableIds, all_ids
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.database import Database, name

_INVISIBLE = "[\\x{00AD}\\x{200B}-\\x{200F}\\x{2060}\\x{FEFF}]"  # characters without a width
# ways in which ids differ that people overlook -> SQL of an id without the difference
_WAYS = {
    "upper and lower case": "lower(id)",
    "blanks around them": "trim(id)",
    "invisible characters": f"regexp_replace(id, '{_INVISIBLE}', '', 'g')",
    "the Unicode form of letters": "nfc_normalize(id)",
    "leading zeros": "regexp_replace(id, '^([+-]?)0+([0-9])', '\\1\\2')",
    "a decimal point": "regexp_replace(id, '^([+-]?[0-9]+)\\.0*$', '\\1')",
}
_BITMAP_LEAST = 2 << 20
_BITMAP_PER_ID = 512  # bytes per given id; for sparser ids a table is better


class NodeTable:
    """The N nodes of a graph.

    Attributes:
        strings: whether ids are VARCHAR, not BIGINT.
        table: the table of ids in the database, whose rowid is the node number; None for a bitmap.
        ids: the ids of the N nodes, in memory.
    """

    def __init__(self, db: Database, columns: list[TableIds], strings: bool, bitmap_bytes: int):
        """Collect the distinct ids.

        Args:
            columns: all columns whose ids are nodes.
            bitmap_bytes: the most memory for a bitmap.
        """
        self.db, self.strings = db, strings
        self.table: str | None = None
        self.bitmap: BitmapTable | None = None
        every = all_ids(columns, strings)
        if not strings:
            given, least, largest = db.run(f"SELECT count(*), min(id), max(id) FROM ({every})")[0]
            max_bytes = min(_BITMAP_LEAST + _BITMAP_PER_ID * given, bitmap_bytes)
            if given and least >= 0 and largest // 8 < max_bytes:
                self.bitmap = self._bitmap(every)
                self.ids = self.bitmap.ids
                return
        self.table = db.new_name("ids")
        with stage("sorting ids"):
            db.run(
                f"CREATE TABLE {self.table} AS "
                f"SELECT id FROM (SELECT DISTINCT id FROM ({every})) ORDER BY id"
            )
            self.ids = self._read_ids()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_bytes(self) -> int:
        """The memory of the ids in this process."""
        return self.ids.values.nbytes if self.bitmap is None else self.bitmap.num_bytes

    def positions(self, column: TableIds) -> np.ndarray:
        """The node numbers of a column in its order, -1 for unknown ids: int32 or int64 [R]."""
        dtype = index_dtype(len(self.ids))
        found: list[np.ndarray] = [np.zeros(0, dtype)]
        ids_R = column.select(self.strings)
        if self.bitmap is not None:
            for batch in self.db.batches(ids_R):
                ids = batch.column(0).fill_null(-1)
                found.append(self.bitmap.lookup(ids).astype(dtype))
        else:
            sql = (
                "SELECT coalesce(t.rowid, -1) FROM (SELECT id, row_number() OVER () AS n "
                f"FROM ({ids_R})) AS q LEFT JOIN {self.table} AS t ON q.id = t.id ORDER BY n"
            )
            found += [b.column(0).to_numpy().astype(dtype) for b in self.db.batches(sql)]
        return np.concatenate(found)

    def share_of_numbers(self) -> float:
        """The share of the ids that are whole numbers, with or without a decimal point."""
        number = "regexp_full_match(CAST(id AS VARCHAR), '[+-]?[0-9]+(\\.0*)?')"
        return float(self.db.value(f"SELECT avg(CAST({number} AS INTEGER)) FROM {self.table}"))

    def nearly_equal(self) -> dict[str, tuple[str, str]]:
        """Pairs of string ids that differ only in a way that people overlook, one for each way."""
        if self.table is None or not self.strings:
            return {}
        found = {}
        for way, key in _WAYS.items():
            odd = f"(SELECT id, {key} AS k FROM {self.table} WHERE {key} <> id)"
            same = (
                f"SELECT id, id AS k FROM {self.table} SEMI JOIN {odd} AS o "
                f"ON {self.table}.id = o.k"
            )
            pair = self.db.run(
                f"SELECT min(id), max(id) FROM (SELECT * FROM {odd} UNION ALL {same}) "
                "GROUP BY k HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
            )
            if pair:
                found[way] = pair[0]
        return found

    def nearly_found(self, column: TableIds, position_R: np.ndarray) -> dict[str, tuple[int, str]]:
        """Unknown ids that differ from a node's only in a way that people overlook.

        Args:
            position_R: of the column, from `positions`.

        Returns the number of such ids and the first of them, by the way.
        """
        if column.kind != "VARCHAR" or not (position_R < 0).any():
            return {}
        plain = "(SELECT CAST({0} AS VARCHAR) AS id, row_number() OVER () AS n FROM {1})"
        ids = plain.format(name(column.column), column.sql)
        found = {}
        for way, key in _WAYS.items():
            keyed = f"(SELECT {key} AS id FROM {ids} ORDER BY n)"
            other = replace(column, sql=keyed, column="id", loose=False)
            near_R = (self.positions(other) >= 0) & (position_R < 0)
            if self.table is not None and self.strings:
                near_R |= self._found_without(key, ids) & (position_R < 0)
            if near_R.any():
                at = int(np.argmax(near_R)) + 1
                example = self.db.value(f"SELECT id FROM {ids} WHERE n = {at}")
                found[way] = (int(near_R.sum()), example)
        return found

    def _found_without(self, key: str, ids: str) -> np.ndarray:
        """Whether each id is that of a node once both lack a difference: bool [R]."""
        sql = (
            f"SELECT k IN (SELECT {key} FROM {self.table}) FROM "
            f"(SELECT {key} AS k, n FROM {ids}) ORDER BY n"
        )
        batches = [b.column(0).to_numpy(zero_copy_only=False) for b in self.db.batches(sql)]
        return np.concatenate([np.zeros(0, bool), *batches]).astype(bool)

    def _bitmap(self, every: str) -> BitmapTable:
        bitmap = BitmapSet()
        for batch in self.db.batches(f"SELECT id FROM ({every})"):
            bitmap.add(batch.column(0).to_numpy())
        return bitmap.finish()

    def _read_ids(self) -> NodeIds:
        """The sorted ids as one Arrow array, without a second copy."""
        number, size = self.db.run(
            f"SELECT count(*), {'sum(strlen(id))' if self.strings else '0'} FROM {self.table}"
        )[0]
        pieces = (b.column(0) for b in self.db.batches(f"SELECT id FROM {self.table}"))
        if not self.strings:
            values = np.empty(number, np.int64)
            for start, piece in _placed(pieces):
                values[start : start + len(piece)] = piece.to_numpy()
            return NodeIds(pa.array(values))
        offsets, utf8 = np.zeros(number + 1, np.int64), np.empty(int(size or 0), np.uint8)
        for start, piece in _placed(pieces):
            arrays = NodeIds(piece.cast(pa.large_string())).as_arrays()
            first = offsets[start]
            offsets[start + 1 : start + len(piece) + 1] = first + arrays["offsets"][1:]
            utf8[first : first + len(arrays["utf8"])] = arrays["utf8"]
        return NodeIds.from_arrays({"offsets": offsets, "utf8": utf8})


def _placed(pieces: Iterator[pa.Array]) -> Iterator[tuple[int, pa.Array]]:
    start = 0
    for piece in pieces:
        yield start, piece
        start += len(piece)
