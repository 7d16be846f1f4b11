"""The edges of a store between the nodes of some blocks, in local numbers.

Legend: n nodes of the blocks, e edges between them, B blocks of the store.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import CSC, index_dtype
from hvdtma.sampling.reader import BlockReader, Range, windows

CELLS_PER_BLOCK = 4  # of the table that finds a node's block in a step or two
ELSEWHERE = -2  # a block of the trainer's assigned that is not in this resident set


class _Rows(NamedTuple):
    """The rows of one block in the store's list of edges: `degree_n[begin:end]` are theirs."""

    first: int
    last: int
    begin: int
    end: int


class _Kept(NamedTuple):
    """Of some rows' edges: how many each keeps, their sources and types, and those elsewhere."""

    piece: _Rows
    kept: np.ndarray
    local: np.ndarray
    types: np.ndarray | None
    elsewhere: int


def induced_graph(
    reader: BlockReader, blocks: np.ndarray, ranges: list[Range], assigned: np.ndarray | None = None
) -> tuple[CSC, np.ndarray, int]:
    """The edges between the blocks' nodes, and how many more there would be.

    Returns these edges in local numbers, the nodes' in-degree in the whole graph int32 [n], and
    the number of edges into them from any block of `assigned` (None: it is `blocks`).

    `ranges` are the blocks' nodes. Blocks keep their order, so local numbers ascend within a row
    as the store's do.
    """
    store = reader.store
    degree_n, first_edges = degrees(reader, ranges)
    ends = np.cumsum([stop - start for start, stop in ranges])
    local_B = np.full(store.num_blocks, -1, np.int64)  # where each of the blocks begins locally
    if assigned is not None:
        local_B[assigned] = ELSEWHERE
    local_B[blocks] = np.r_[0, ends[:-1]]
    rows = [
        _Rows(first, first + int(degree_n[begin:end].sum(dtype=np.int64)), begin, end)
        for first, begin, end in zip(
            first_edges, local_B[blocks].tolist(), ends.tolist(), strict=True
        )
    ]
    most = sum(piece.last - piece.first for piece in rows)
    # Pages that are never written to take no memory.
    indices: np.ndarray = np.empty(most, index_dtype(len(degree_n)))
    edge_type = np.empty(most, np.int16) if "edge_type" in store else None
    kept_n = np.empty(len(degree_n), np.int32)

    shift = max(store.num_nodes // (CELLS_PER_BLOCK * store.num_blocks), 1).bit_length() - 1
    cells = np.arange((store.num_nodes >> shift) + 1) << shift
    block_of_cell = np.searchsorted(store.block_offsets, cells, side="right") - 1

    def read(window: list[_Rows]) -> list[_Kept]:
        base, end = window[0].first, window[-1].last
        sources = reader.read("indices", base, end)
        types = None if edge_type is None else reader.read("edge_type", base, end)
        found = []
        for piece in window:
            its_sources = sources[piece.first - base : piece.last - base]
            local = np.empty(len(its_sources), indices.dtype)
            place = np.empty(0 if types is None else len(local), np.int64)
            count, kept, elsewhere = _keep_own(
                degree_n[piece.begin : piece.end],
                its_sources,
                store.block_offsets,
                local_B,
                block_of_cell,
                shift,
                local,
                place,
            )
            kept_types = None if types is None else types[piece.first - base :][place[:kept]]
            found.append(_Kept(piece, count, local[:kept], kept_types, elsewhere))
        return found

    chunk = store.array("indices").chunks[0]
    kept = elsewhere = 0
    for found in reader.each(read, windows(rows, 2 * chunk, chunk)):
        for piece, count, local, types, not_here in found:
            kept_n[piece.begin : piece.end] = count
            indices[kept : kept + len(local)] = local
            if edge_type is not None and types is not None:
                edge_type[kept : kept + len(local)] = types
            kept += len(local)
            elsewhere += not_here
    indptr = np.concatenate([[0], np.cumsum(kept_n, dtype=np.int64)])
    types = None if edge_type is None else edge_type[:kept]
    return CSC(indptr, indices[:kept], types), degree_n, kept + elsewhere


def degrees(reader: BlockReader, ranges: list[Range]) -> tuple[np.ndarray, list[int]]:
    """In-degree int32 [n] of the ranges' nodes in the whole graph, and each range's first edge."""
    degree_n = np.empty(sum(stop - start for start, stop in ranges), np.int32)
    first_edges: list[int] = []
    filled = 0

    def read(window: list[Range]) -> tuple[list[Range], np.ndarray]:
        return window, reader.read("indptr", window[0][0], window[-1][1] + 1)

    chunk = reader.store.array("indptr").chunks[0]
    for window, indptr in reader.each(read, windows(ranges, 2 * chunk, chunk)):
        base = window[0][0]
        for start, stop in window:
            first_edges.append(int(indptr[start - base]))
            of_range = np.diff(indptr[start - base : stop - base + 1])
            degree_n[filled : filled + len(of_range)] = of_range
            filled += len(of_range)
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
    place: np.ndarray,
) -> tuple[np.ndarray, int, int]:
    """Of the rows with these degrees, the edges that come from own blocks.

    Returns how many each row keeps, how many there are in all, and how many come from blocks that
    are `ELSEWHERE`; `local` is filled with the kept ones' sources' local numbers and `place`,
    unless it is empty, with their places in `indices`.
    """
    count = np.zeros(len(degree), np.int32)
    placing = len(place) > 0
    kept = edge = elsewhere = 0
    for row in range(len(degree)):
        for _ in range(degree[row]):
            source = indices[edge]
            block = block_of_cell[source >> shift]
            while source >= offsets_B1[block + 1]:
                block += 1
            if local_B[block] >= 0:
                local[kept] = local_B[block] + source - offsets_B1[block]
                if placing:
                    place[kept] = edge
                kept += 1
                count[row] += 1
            elif local_B[block] == ELSEWHERE:
                elsewhere += 1
            edge += 1
    return count, kept, elsewhere
