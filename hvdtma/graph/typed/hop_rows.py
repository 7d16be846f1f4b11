"""The rows of the stored first hop of a typed graph.

`first_hop/R` has a row for each destination that has in-edges of type R, in the order of the
destinations. `hop_offsets` has the first row of each block, for each edge type.

Legend: B blocks, R edge types, n nodes of a type, m of them with in-edges, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import StoredRows, gather
from hvdtma.graph.typed.layout import NodeLayout
from hvdtma.graph.typed.schema import GraphSchema


class StoredHop(NamedTuple):
    """The stored first hop of some nodes of a type, by one edge type.

    Attributes:
        row: int64 [m], the positions among the nodes of those with in-edges, ascending.
        mean: [m, D] means over all their training neighbours of the type.
        degree: int32 [m].
    """

    row: np.ndarray
    mean: np.ndarray
    degree: np.ndarray


def hop_offsets(
    degrees_of: Callable[[int], np.ndarray], schema: GraphSchema, layout: NodeLayout
) -> np.ndarray:
    """int64 [B+1, R]: the first row of each block in the first hop of each edge type, and the end.

    Args:
        degrees_of: the in-degrees of all destinations of an edge type, by its number.
    """
    offsets = np.zeros((len(layout.offsets) + 1, len(schema.ends)), np.int64)
    for number, dst in enumerate(schema.ends[:, 1].tolist()):
        rows_before = np.concatenate([[0], np.cumsum(degrees_of(number) > 0)])
        ends = np.append(layout.first[:, dst], layout.sizes[dst])
        offsets[:, number] = rows_before[ends]
    return offsets


def hop_width(schema: GraphSchema, offsets: np.ndarray, block_nodes: np.ndarray) -> int:
    """Values of the first hop per node: the mean of the block with most.

    Args:
        offsets: int64 [B+1, R]; see `hop_offsets`.
        block_nodes: the nodes of each block.
    """
    values_B = np.diff(offsets, axis=0) @ np.array([schema.dims[src] for src in schema.ends[:, 0]])
    return int(np.ceil(values_B / np.maximum(block_nodes, 1)).max(initial=0))


def stored_hop(store: GraphStore, number: int, own_n: np.ndarray) -> StoredHop:
    """The stored first hop of nodes of the destination type of an edge type.

    Args:
        own_n: int64, their numbers in the type, in any order.
    """
    degree_n = gather(StoredRows(store, f"in_degree/{number}"), own_n)
    row_m = np.flatnonzero(degree_n > 0)
    place_m = _places(store, number, own_n[row_m])
    mean_mD = gather(StoredRows(store, f"first_hop/{number}"), place_m)
    return StoredHop(row_m, mean_mD, degree_n[row_m])


def _places(store: GraphStore, number: int, own_m: np.ndarray) -> np.ndarray:
    """The rows int64 [m] of nodes with in-edges in the stored first hop; blocks are read once."""
    assert store.schema is not None
    layout, dst = store.layout, int(store.schema.ends[number, 1])
    first_B, place_m = layout.first[:, dst], np.zeros(len(own_m), np.int64)
    block_m = np.searchsorted(first_B, own_m, side="right") - 1
    order = np.argsort(block_m, kind="stable")
    blocks, counts = np.unique(block_m, return_counts=True)
    for block, end, count in zip(blocks, np.cumsum(counts), counts, strict=True):
        at = order[end - count : end]
        first = int(first_B[block])
        stop = first + int(layout.counts[block, dst])
        has_edges = store.read(f"in_degree/{number}", first, stop) > 0
        row = int(store.hop_offsets[block, number]) - 1 + np.cumsum(has_edges)
        place_m[at] = row[own_m[at] - first]
    return place_m
