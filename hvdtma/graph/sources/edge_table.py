"""What an edge file gives, and what one may say about its columns.

Legend: E edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from hvdtma.errors import UserError, nearest
from hvdtma.graph.sources.columns import Column, as_kind

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
            raise UserError("name both columns of ids (source and destination) or neither")


@dataclass(frozen=True)
class EdgeTable:
    """Edges in the user's ids.

    Attributes:
        src, dst: ids [E], both int64 or both large_string.
        edge_type: names of types [E], or None.
        nodes: further ids that are nodes, with or without an edge (rows of an adjacency), or None.
    """

    src: Column
    dst: Column
    edge_type: Column | None = None
    nodes: Column | None = None


def alike(src: Column, dst: Column) -> tuple[Column, Column]:
    """Both as strings where one is."""
    strings = src.type != dst.type or pa.types.is_large_string(src.type)
    return as_kind(src, strings, "source"), as_kind(dst, strings, "destination")
