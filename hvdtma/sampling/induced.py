"""Reads the subgraph that some blocks induce, with local node numbers.

Legend: n nodes of the blocks, e edges between them, B blocks of the store.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.sampling.reader import BlockReader, Range, merge_ranges

CELLS_PER_BLOCK = 4  # of a lookup table that finds a node's block in one or two steps
ELSEWHERE = -2  # marks a block that is assigned to the trainer, but not in this resident set


class _Rows(NamedTuple):
    """The rows of one block: edges first:last of the store, local nodes begin:end."""

    first: int
    last: int
    begin: int
    end: int


class _Kept(NamedTuple):
    """The kept edges of some rows.

    Attributes:
        row_counts: number of kept edges of each row.
        sources: local numbers of the kept edges' sources.
        types: types of the kept edges, or None.
        weights: weights of the kept edges, or None.
        elsewhere: number of edges from blocks that are `ELSEWHERE`.
    """

    rows: _Rows
    row_counts: np.ndarray
    sources: np.ndarray
    types: np.ndarray | None
    weights: np.ndarray | None
    elsewhere: int


def induced_graph(
    reader: BlockReader, blocks: np.ndarray, ranges: list[Range], assigned: np.ndarray | None = None
) -> tuple[CSC, np.ndarray, int]:
    """Read the edges between the blocks' nodes.

    Blocks keep their order, so local numbers ascend within a row as the store's numbers do.

    Args:
        blocks: int64, ascending.
        ranges: node range of each block.
        assigned: all blocks assigned to the trainer; None: `blocks`.

    Returns:
        The edges in local numbers, the nodes' in-degrees in the whole graph int32 [n], and the
        number of edges into the nodes from any assigned block.
    """
    store = reader.store
    degree_n, first_edges = degrees(reader, ranges)
    ends = np.cumsum([stop - start for start, stop in ranges])
    local_B = np.full(store.num_blocks, -1, np.int64)  # first local node of each block
    if assigned is not None:
        local_B[assigned] = ELSEWHERE
    local_B[blocks] = np.r_[0, ends[:-1]]
    rows = [
        _Rows(first, first + int(degree_n[begin:end].sum(dtype=np.int64)), begin, end)
        for first, begin, end in zip(
            first_edges, local_B[blocks].tolist(), ends.tolist(), strict=True
        )
    ]
    max_edges = sum(block.last - block.first for block in rows)
    # Pages of an array that are never written take no memory.
    indices: np.ndarray = np.empty(max_edges, index_dtype(len(degree_n)))
    edge_type = np.empty(max_edges, np.int16) if "edge_type" in store else None
    weight = np.empty(max_edges, np.float32) if store.weighted else None
    kept_n = np.empty(len(degree_n), np.int32)

    shift = max(store.num_nodes // (CELLS_PER_BLOCK * store.num_blocks), 1).bit_length() - 1
    cells = np.arange((store.num_nodes >> shift) + 1) << shift
    block_of_cell = np.searchsorted(store.block_offsets, cells, side="right") - 1

    def read(window: list[_Rows]) -> list[_Kept]:
        base, end = window[0].first, window[-1].last
        sources = reader.read("indices", base, end)
        types = None if edge_type is None else reader.read("edge_type", base, end)
        weights = None if weight is None else reader.read("weight", base, end)
        with_positions = types is not None or weights is not None
        results = []
        for block in window:
            block_sources = sources[block.first - base : block.last - base]
            local = np.empty(len(block_sources), indices.dtype)
            position = np.empty(len(local) if with_positions else 0, np.int64)
            count, num_kept, num_elsewhere = _keep_own(
                degree_n[block.begin : block.end],
                block_sources,
                store.block_offsets,
                local_B,
                block_of_cell,
                shift,
                local,
                position,
            )
            kept_types, kept_weights = (
                None if values is None else values[block.first - base :][position[:num_kept]]
                for values in (types, weights)
            )
            results.append(
                _Kept(block, count, local[:num_kept], kept_types, kept_weights, num_elsewhere)
            )
        return results

    chunk = store.array("indices").chunks[0]
    kept = elsewhere = 0
    for results in reader.map(read, merge_ranges(rows, 2 * chunk, chunk)):
        for block, count, local, types, weights, num_elsewhere in results:
            kept_n[block.begin : block.end] = count
            indices[kept : kept + len(local)] = local
            if edge_type is not None and types is not None:
                edge_type[kept : kept + len(local)] = types
            if weight is not None and weights is not None:
                weight[kept : kept + len(local)] = weights
            kept += len(local)
            elsewhere += num_elsewhere
    indptr = np.concatenate([[0], np.cumsum(kept_n, dtype=np.int64)])
    types = None if edge_type is None else edge_type[:kept]
    weights = None if weight is None else weight[:kept]
    return CSC(indptr, indices[:kept], types, weights), degree_n, kept + elsewhere


def degrees(reader: BlockReader, ranges: list[Range]) -> tuple[np.ndarray, list[int]]:
    """In-degrees int32 [n] of the nodes in the whole graph, and the first edge of each range."""
    degree_n = np.empty(sum(stop - start for start, stop in ranges), np.int32)
    first_edges: list[int] = []
    filled = 0

    def read(window: list[Range]) -> tuple[list[Range], np.ndarray]:
        return window, reader.read("indptr", window[0][0], window[-1][1] + 1)

    chunk = reader.store.array("indptr").chunks[0]
    for window, indptr in reader.map(read, merge_ranges(ranges, 2 * chunk, chunk)):
        base = window[0][0]
        for start, stop in window:
            first_edges.append(int(indptr[start - base]))
            range_degrees = np.diff(indptr[start - base : stop - base + 1])
            degree_n[filled : filled + len(range_degrees)] = range_degrees
            filled += len(range_degrees)
    return degree_n, first_edges


@njit(nogil=True)
def _keep_own(
    degree: np.ndarray,
    indices: np.ndarray,
    offsets_B1: np.ndarray,
    local_B: np.ndarray,
    block_of_cell: np.ndarray,
    shift: int,
    local: np.ndarray,
    position: np.ndarray,
) -> tuple[np.ndarray, int, int]:
    """Keep the edges that come from the resident set's blocks.

    Writes the local numbers of the kept edges' sources to `local` and, unless it is empty, their
    positions in `indices` to `position`.

    Returns the number of kept edges of each row, the number of kept edges, and the number of edges
    from blocks that are `ELSEWHERE`.
    """
    count = np.zeros(len(degree), np.int32)
    with_positions = len(position) > 0
    kept = edge = elsewhere = 0
    for row in range(len(degree)):
        for _ in range(degree[row]):
            source = indices[edge]
            block = block_of_cell[source >> shift]
            while source >= offsets_B1[block + 1]:
                block += 1
            if local_B[block] >= 0:
                local[kept] = local_B[block] + source - offsets_B1[block]
                if with_positions:
                    position[kept] = edge
                kept += 1
                count[row] += 1
            elif local_B[block] == ELSEWHERE:
                elsewhere += 1
            edge += 1
    return count, kept, elsewhere
