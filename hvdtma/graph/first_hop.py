"""The mean of every node's in-neighbours' features over the whole training graph.

It is static, so it is computed once; with it each trainer has its complete first neighbourhood
without any halo. Undoing a target link's own part is `hvdtma.shard.first_hop`'s work.

Where memory does not hold all features it is computed in tiles: for a band of destinations, one
range of sources after the other is read and added up. Sources ascend within a row, so a row's edges
into a range stand together, and each row only remembers how far it has come.

Legend: N nodes, D features, n nodes of a band, t of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit, prange

from hvdtma.console import progress
from hvdtma.graph.blocks import rows_per_chunk
from hvdtma.graph.csc import CSC
from hvdtma.graph.external.memory import Memory
from hvdtma.graph.store import StoreWriter

BAND_EDGES = 1 << 24  # at most, if a band is more than a row
LEAST_ROWS = 64  # of a tile and of a band, however little memory


def first_hop(csc: CSC, feat_ND: np.ndarray) -> np.ndarray:
    """float32 [N, D]: row v is the mean of feat over v's in-edges, 0 without any."""
    most = max(csc.num_nodes, 1)
    bands = first_hop_bands(csc.indptr, csc.indices, feat_ND, tile=most, band=most)
    return np.concatenate([np.zeros((0, feat_ND.shape[1]), np.float32), *bands])


def first_hop_bands(
    indptr_N1: np.ndarray,
    indices: Any,
    feat: Any,
    *,
    tile: int,
    band: int,
) -> Iterator[np.ndarray]:
    """The first hop in order, float32 [n, D] for a band of rows at a time.

    Args:
        indices [E], feat [N, D]: NumPy or Zarr arrays, read by ranges.
        tile: sources whose features are in memory at once.
        band: rows at a time, at most.
    """
    num_nodes, dim = feat.shape
    whole = _single(feat[:]) if tile >= num_nodes else None
    for start, stop in _bands(indptr_N1, band):
        rows = indptr_N1[start : stop + 1] - indptr_N1[start]
        sources = np.asarray(indices[indptr_N1[start] : indptr_N1[stop]])
        at_n, total_nD = rows[:-1].copy(), np.zeros((stop - start, dim), np.float64)
        for begin in range(0, num_nodes, tile):
            feat_tD = _single(feat[begin : begin + tile]) if whole is None else whole
            _add_tile(rows, sources, at_n, feat_tD, begin, total_nD)
        degree_n = np.maximum(np.diff(rows), 1)
        yield (total_nD / degree_n[:, None]).astype(np.float32)


def write_first_hop(writer: StoreWriter, memory: Memory, block_nodes: int) -> None:
    """Compute the first hop of the store that is being written, and write it."""
    feat, indptr, indices = (writer.array(name) for name in ("feat", "indptr", "indices"))
    num_nodes, dim = feat.shape
    room = memory.left(indptr.nbytes, "the first hop")
    tile = room // 2 // max(dim * (4 + feat.dtype.itemsize), 1)  # as it is read, and as float32
    band = (room // 3 - BAND_EDGES * indices.dtype.itemsize) // (dim * 16 + 16)
    with (
        progress("first hop", num_nodes, "nodes") as advance,
        writer.growing(
            "first_hop",
            np.float32,
            num_nodes,
            (dim,),
            chunk_rows=rows_per_chunk(block_nodes, dim * 4),
        ) as out,
    ):
        for mean_nD in first_hop_bands(
            np.asarray(indptr[:]),
            indices,
            feat,
            tile=max(tile, LEAST_ROWS),
            band=max(band, LEAST_ROWS),
        ):
            out.append(mean_nD)
            advance(len(mean_nD))


def _single(feat: np.ndarray) -> np.ndarray:
    """Numba knows no float16 on CPUs."""
    return np.asarray(feat).astype(np.float32, copy=False)


def _bands(indptr_N1: np.ndarray, most_rows: int) -> Iterator[tuple[int, int]]:
    """Ranges of destinations of at most so many rows, and `BAND_EDGES` edges if more than one."""
    start, num_nodes = 0, len(indptr_N1) - 1
    while start < num_nodes:
        by_edges = int(np.searchsorted(indptr_N1, indptr_N1[start] + BAND_EDGES, "right")) - 1
        stop = min(max(by_edges, start + 1), start + most_rows, num_nodes)
        yield start, stop
        start = stop


@njit(cache=True, parallel=True, nogil=True)
def _add_tile(
    indptr_n1: np.ndarray,
    indices: np.ndarray,
    at_n: np.ndarray,
    feat_tD: np.ndarray,
    first: int,
    total_nD: np.ndarray,
) -> None:
    """Add the features of sources first .. first + t to the rows that have them.

    Sums in float64, so that the mean can be undone exactly. `at_n` is each row's next edge.
    """
    dim, end = feat_tD.shape[1], first + len(feat_tD)
    for row in prange(len(at_n)):
        edge = at_n[row]
        while edge < indptr_n1[row + 1] and indices[edge] < end:
            source = indices[edge] - first
            for d in range(dim):
                total_nD[row, d] += feat_tD[source, d]
            edge += 1
        at_n[row] = edge
