"""Edges of a file of any of the known kinds, some at a time and in the user's ids.

Legend: E edges, N nodes, n edges of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape

from hvdtma.console import console
from hvdtma.errors import UserError, nearest
from hvdtma.graph.sources.files.columns import (
    Column,
    are_strings,
    as_kind,
    ids_of,
    is_integer,
    position_of,
)
from hvdtma.graph.sources.files.opening import suffix_of
from hvdtma.graph.sources.files.parquet import open_parquet, parquet_pieces
from hvdtma.graph.sources.files.text_layout import Layout, find_layout, usual_columns
from hvdtma.graph.sources.files.text_table import Wanted, row_pieces

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
        doubtful: whether the first edge may be a header; `Doubt` decides.
    """

    path: Path
    strings: bool
    typed: bool
    read: Callable[[], Iterator[EdgeBatch]]
    num_rows: int = 0
    doubtful: bool = False

    def batches(self) -> Iterator[EdgeBatch]:
        """All edges, with ids of one kind."""
        where = f"'{self.path}'"
        for src, dst, types in self.read():
            src, dst = (as_kind(ids, self.strings, where) for ids in (src, dst))
            yield EdgeBatch(src, dst, types)


class Doubt:
    """Whether a first line of unusual names is a header: not if one comes again as a node."""

    def __init__(self, file: EdgeFile):
        self.file, self.settled = file, not file.doubtful
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

    def settle(self) -> None:
        """Raises UserError if neither name of the first row stood in any other row."""
        if not self.settled and self.names:
            raise UserError(
                f"'{self.file.path}': its first line, '{self.names[0]}' and '{self.names[1]}', may "
                "be a header or an edge; say which with --header yes or --header no"
            )


TEXT = (".csv", ".tsv", ".txt", ".edges", ".edgelist")
EDGE_FILES = [*TEXT, *(suffix + ".gz" for suffix in TEXT), ".parquet", ".npy", ".npz"]


def open_edges(path: Path, options: EdgeOptions) -> EdgeFile:
    """Edges of a CSV/TSV, Parquet, NPY or NPZ file, of which little is read yet.

    Raises UserError for a missing file, an unknown ending or column, a wrong shape.
    """
    from hvdtma.graph.sources.files.edge_arrays import edges_of_npy, edges_of_npz

    suffix = suffix_of(path, EDGE_FILES, "edges")
    if suffix == ".parquet":
        file = _from_parquet(path, options)
    elif suffix == ".npy":
        file = edges_of_npy(path, options)
    elif suffix == ".npz":
        file = edges_of_npz(path, options)
    else:
        return _from_text(path, options)
    if options.id_type == "auto":
        return file
    return replace(file, strings=options.id_type == "str")


def _from_text(path: Path, options: EdgeOptions) -> EdgeFile:
    named = (options.src_column, options.dst_column, options.type_column)
    layout = find_layout(path, named=named, header=options.header, delimiter=options.delimiter)
    ends = _end_columns(layout.names, options, f"'{path}'")
    integers = _first_are_integers(layout, ends)
    if options.id_type != "auto":
        integers = options.id_type == "int"
    wanted = [Wanted(end, integers=integers) for end in ends]
    if options.type_column is not None:
        wanted.append(Wanted(position_of(options.type_column, layout.names, f"'{path}'")))
    names = " to ".join(f"'{layout.names[end]}'" for end in ends)
    said = "in its header" if layout.has_header else "no header"
    console.print(f"{escape(path.name)}: edges from {escape(names)} ({said})")

    def read() -> Iterator[EdgeBatch]:
        for columns in row_pieces(path, layout, wanted):
            yield EdgeBatch(*columns)

    typed = options.type_column is not None
    return EdgeFile(path, not integers, typed, read, doubtful=layout.doubtful)


def _first_are_integers(layout: Layout, ends: tuple[int, int]) -> bool:
    first_ids = [layout.first_row[end : end + 1] for end in ends]
    return all(field and is_integer(field[0].strip()) for field in first_ids)


def _end_columns(names: list[str], options: EdgeOptions, where: str) -> tuple[int, int]:
    if options.src_column is not None and options.dst_column is not None:
        src, dst = (position_of(c, names, where) for c in (options.src_column, options.dst_column))
        return src, dst
    if len(names) < 2:
        raise UserError(f"{where} has one column, '{names[0]}'; edges need two")
    return usual_columns(names) or (0, 1)


def _from_parquet(path: Path, options: EdgeOptions) -> EdgeFile:
    schema = open_parquet(path).schema_arrow
    names = schema.names
    wanted = [names[end] for end in _end_columns(names, options, f"'{path}'")]
    typed = options.type_column is not None
    if options.type_column is not None:
        wanted.append(names[position_of(options.type_column, names, f"'{path}'")])
    where = [f"column '{name}' of '{path}'" for name in wanted]
    kinds = [
        ids_of(pa.array([], schema.field(n).type), w) for n, w in zip(wanted, where, strict=True)
    ]

    def read() -> Iterator[EdgeBatch]:
        first = 0
        for batch in parquet_pieces(path, wanted):
            columns = zip(wanted, where, strict=True)
            yield EdgeBatch(*(ids_of(batch.column(n), w, first) for n, w in columns))
            first += len(batch)

    return EdgeFile(path, any(map(are_strings, kinds[:2])), typed, read)
