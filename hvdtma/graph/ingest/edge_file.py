"""A file of edges: its options, its batches in the user's ids, and whether it has a header.

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
    """Which columns of an edge file are what; see `FileSource`."""

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
                f"only '{named}' is named: name both columns of ids, --src-column and "
                "--dst-column, or neither"
            )


class EdgeBatch(NamedTuple):
    """Some edges.

    Attributes:
        src, dst: ids [n], both int64 or both large_string.
        edge_type: names of types [n], or None.
    """

    src: Column
    dst: Column
    edge_type: Column | None = None


@dataclass(frozen=True)
class EdgeFile:
    """Edges on disk, which can be gone through any number of times.

    Attributes:
        path: where they are.
        strings: whether ids are strings, not integers.
        typed: whether edges have types.
        read: gives all edges in batches, in the file's order; raises UserError for a bad line.
        num_rows: of an adjacency, whose nodes are 0 .. num_rows-1, with or without an edge.
        header_unsure: whether the first edge may be a header; `HeaderCheck` decides.
    """

    path: Path
    strings: bool
    typed: bool
    read: Callable[[], Iterator[EdgeBatch]]
    num_rows: int = 0
    header_unsure: bool = False

    def batches(self) -> Iterator[EdgeBatch]:
        """All edges, with ids of one kind."""
        where = f"'{self.path}'"
        for src, dst, types in self.read():
            src, dst = (as_kind(ids, self.strings, where) for ids in (src, dst))
            yield EdgeBatch(src, dst, types)


class HeaderCheck:
    """Whether a first line of unusual names is a header: not if one comes again as a node."""

    def __init__(self, file: EdgeFile):
        self.file, self.settled = file, not file.header_unsure
        self.names: tuple = ()

    def look(self, batch: EdgeBatch) -> None:
        """Note a batch, the first one first."""
        if self.settled or not len(batch.src):
            return
        seen = 0
        if not self.names:
            self.names, seen = (batch.src[0], batch.dst[0]), 1
        for name in self.names:
            found = sum(pc.sum(pc.equal(ids, name)).as_py() for ids in (batch.src, batch.dst))
            self.settled |= found > seen

    def finish(self) -> None:
        """Raises UserError if neither name of the first row stood in any other row."""
        if not self.settled and self.names:
            raise UserError(
                f"'{self.file.path}': its first line, '{self.names[0]}' and '{self.names[1]}', may "
                "be a header or an edge; say which with --header yes or --header no"
            )
