"""A file of edges: its options, its rows in the user's ids, and the check for a header.

Legend: n edges of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.columns import Column, as_kind

ID_TYPES = ("auto", "int", "str")


@dataclass(frozen=True)
class EdgeOptions:
    """The options for reading an edge file; see `FileSource`."""

    src_column: str | None = None
    dst_column: str | None = None
    type_column: str | None = None
    header: str = "auto"
    delimiter: str | None = None
    id_type: str = "auto"

    def __post_init__(self) -> None:
        if self.id_type not in ID_TYPES:
            raise UserError(f"id_type is '{self.id_type}'; {nearest(self.id_type, list(ID_TYPES))}")
        if (self.src_column is None) != (self.dst_column is None):
            named = self.src_column or self.dst_column
            raise UserError(
                f"only '{named}' is given; give both --src-column and --dst-column, or neither"
            )


class EdgeRows(NamedTuple):
    """A batch of edges in the user's ids.

    Attributes:
        src, dst: ids [n], both int64 or both large_string.
        edge_type: the names of the types [n], or None.
    """

    src: Column
    dst: Column
    edge_type: Column | None = None


@dataclass(frozen=True)
class EdgeFile:
    """Edges on disk, which can be read any number of times.

    Attributes:
        path: the file.
        strings: whether ids are strings, not integers.
        typed: whether edges have types.
        read: yields all edges in the file's order; raises UserError for a bad line.
        num_rows: the size of an adjacency matrix, whose nodes are 0 .. num_rows-1; else 0.
        header_unsure: whether the first edge may be a header; see `HeaderCheck`.
    """

    path: Path
    strings: bool
    typed: bool
    read: Callable[[], Iterator[EdgeRows]]
    num_rows: int = 0
    header_unsure: bool = False

    def batches(self) -> Iterator[EdgeRows]:
        """All edges, with ids of the file's kind."""
        where = f"'{self.path}'"
        for src, dst, types in self.read():
            src, dst = (as_kind(ids, self.strings, where) for ids in (src, dst))
            yield EdgeRows(src, dst, types)


class HeaderCheck:
    """Detects a header of unusual names: no header if one of the names appears again as a node."""

    def __init__(self, file: EdgeFile):
        self.file, self.decided = file, not file.header_unsure
        self.names: tuple = ()

    def add(self, batch: EdgeRows) -> None:
        """Add a batch, in the file's order."""
        if self.decided or not len(batch.src):
            return
        seen = 0
        if not self.names:
            self.names, seen = (batch.src[0], batch.dst[0]), 1
        for name in self.names:
            found = sum(pc.sum(pc.equal(ids, name)).as_py() for ids in (batch.src, batch.dst))
            self.decided |= found > seen

    def finish(self) -> None:
        """Raise UserError if neither name of the first row appeared in another row."""
        if not self.decided and self.names:
            raise UserError(
                f"'{self.file.path}': the first line, '{self.names[0]}' and '{self.names[1]}', may "
                "be a header or an edge; give --header yes or --header no"
            )
