"""The mean of every node's in-neighbours' rows, when neither rows nor edges fit in memory.

For a band of destinations, one tile of sources after the other is read and added up. Sources
ascend within a row of the CSC, so those in a tile stand together and a row only remembers how far
it has come. The rows are read once per band: bands are large and tiles small.

Legend: N nodes, D values a row, n destinations of a band, t sources of a tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

from hvdtma.graph.external.threads import in_order

LEAST_ROWS = 64  # of a tile and of a band, however little memory
BAND_BYTES = 256 << 20  # where there is no reason for larger ones
ROWS_AT_ONCE = 1 << 10  # of a band, by one thread
ROW_BYTES = 24  # of a destination in a band, beside its sum: where its edges begin, end and stand


@dataclass(frozen=True)
class Tiling:
    """How bands and tiles share some memory.

    Attributes:
        num_nodes, dim: N, D.
        row_bytes: of a row that is read.
        held: the rows are in memory already, and cost nothing here.
        tile_rows: rows of a tile; N where all are held or fit.
        band_bytes: that a band may take.
    """

    num_nodes: int
    dim: int
    row_bytes: int
    held: bool
    tile_rows: int
    band_bytes: int

    @classmethod
    def of(
        cls, num_nodes: int, dim: int, itemsize: int, *, held: bool, memory_bytes: int
    ) -> Tiling:
        row_bytes = max(dim * itemsize, 1)
        rest = min(memory_bytes, BAND_BYTES) if held else memory_bytes  # nothing is read again
        if held:
            tile = num_nodes
        elif num_nodes * row_bytes <= memory_bytes // 2:
            tile = num_nodes
            rest -= num_nodes * row_bytes
        else:
            tile = max(memory_bytes // 4 // (2 * row_bytes), LEAST_ROWS)  # one used, one being read
            rest -= memory_bytes // 4
        return cls(num_nodes, dim, row_bytes, held, max(tile, 1), rest // 2)

    @property
    def whole(self) -> bool:
        """Whether one tile is all rows."""
        return self.tile_rows >= self.num_nodes

    def num_bytes(self, num_edges: int, index_bytes: int) -> int:
        """Bytes taken at most: tiles, a band, and the means of the band before, not yet let go."""
        tiles = 0 if self.held else self.row_bytes * min(self.num_nodes, self.tile_rows * 2)
        sums = 4 * self.dim * self.num_nodes
        all_bands = sums + ROW_BYTES * self.num_nodes + index_bytes * num_edges
        if all_bands <= self.band_bytes:
            return tiles + all_bands
        share = self.band_bytes / all_bands
        return tiles + int(self.band_bytes + min(share, 1 - share) * sums)


def neighbour_means(
    indptr_N1: np.ndarray, indices: Any, rows: Any, *, memory_bytes: int
) -> Iterator[np.ndarray]:
    """float32 [n, D] for one band of destinations after the other; 0 where there are no edges.

    Sums are in float32, always in the order of the sources: they do not depend on memory.

    Args:
        indices [E], rows [N, D] of float16 or float32: NumPy arrays, or read by ranges.
        memory_bytes: that bands and tiles may take, beside what is in memory already.
    """
    num_nodes, dim = rows.shape
    itemsize = np.dtype(rows.dtype).itemsize
    held = isinstance(rows, np.ndarray)
    tiling = Tiling.of(num_nodes, dim, itemsize, held=held, memory_bytes=memory_bytes)
    whole = _bits(np.asarray(rows[:])) if tiling.whole else None
    tile = tiling.tile_rows
    tiles = [(start, min(start + tile, num_nodes)) for start in range(0, num_nodes, tile)]

    def read(piece: tuple[int, int]) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        return piece[0], whole or _bits(np.asarray(rows[piece[0] : piece[1]]))

    edge_bytes = np.dtype(indices.dtype).itemsize
    for start, stop in _bands(indptr_N1, tiling.band_bytes, dim * 4 + ROW_BYTES, edge_bytes):
        sources = np.asarray(indices[indptr_N1[start] : indptr_N1[stop]])
        indptr_n1 = indptr_N1[start : stop + 1] - indptr_N1[start]
        at_n, total_nD = indptr_n1[:-1].copy(), np.zeros((stop - start, dim), np.float32)
        for first, (half_tD, single_tD) in in_order(read, tiles, 1):
            _add_tile(indptr_n1, sources, at_n, half_tD, single_tD, first, total_nD)
        total_nD /= np.maximum(np.diff(indptr_n1), 1).astype(np.float32)[:, None]
        yield total_nD


def _bits(rows_tD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows as half floats' bits or as float32, the other of both empty: Numba knows no float16."""
    if rows_tD.dtype == np.float16:
        return rows_tD.view(np.uint16), np.zeros((0, 0), np.float32)
    return np.zeros((0, 0), np.uint16), rows_tD.astype(np.float32, copy=False)


def _bands(
    indptr_N1: np.ndarray, most_bytes: int, row_bytes: int, edge_bytes: int
) -> Iterator[tuple[int, int]]:
    """Ranges of destinations that take at most so many bytes, with their edges; or are one row."""
    start, num_nodes = 0, len(indptr_N1) - 1
    while start < num_nodes:
        stop = min(start + max(most_bytes // row_bytes, LEAST_ROWS), num_nodes)
        while stop > start + 1:
            edges = int(indptr_N1[stop] - indptr_N1[start])
            taken = (stop - start) * row_bytes + edges * edge_bytes
            if taken <= most_bytes:
                break
            stop = start + max(int((stop - start) * most_bytes / taken * 0.99), 1)
        yield start, stop
        start = stop


@njit(cache=True, parallel=True, nogil=True)
def _add_tile(
    indptr_n1: np.ndarray,
    indices: np.ndarray,
    at_n: np.ndarray,
    half_tD: np.ndarray,
    single_tD: np.ndarray,
    first: int,
    total_nD: np.ndarray,
) -> None:
    """Add the sources first .. first + t to the rows that have them; `at_n` is their next edge."""
    dim = total_nD.shape[1]
    halves = len(half_tD) > 0
    end = first + (len(half_tD) if halves else len(single_tD))
    for piece in prange(-(-len(at_n) // ROWS_AT_ONCE)):
        bits = np.empty(dim, np.uint32)
        values = bits.view(np.float32)
        for row in range(piece * ROWS_AT_ONCE, min((piece + 1) * ROWS_AT_ONCE, len(at_n))):
            edge, last = at_n[row], indptr_n1[row + 1]
            while edge < last and indices[edge] < end:
                source = indices[edge] - first
                if halves:
                    for d in range(dim):  # as a float32 of the same mantissa and a small exponent
                        half = np.uint32(half_tD[source, d])
                        sign = (half & np.uint32(0x8000)) << np.uint32(16)
                        bits[d] = sign | ((half & np.uint32(0x7FFF)) << np.uint32(13))
                    for d in range(dim):
                        total_nD[row, d] += values[d] * np.float32(2.0**112)
                else:
                    for d in range(dim):
                        total_nD[row, d] += single_tD[source, d]
                edge += 1
            at_n[row] = edge
