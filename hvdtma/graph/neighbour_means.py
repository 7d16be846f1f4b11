"""The mean of every node's in-neighbours' rows, when neither rows nor edges fit in memory.

The rows of all nodes are in memory, but only as many of their columns at a time as fit: then any
neighbour can be looked up, and edges are read in order, once for each group of columns. What the
first groups give waits in files until the last one completes the rows.

Legend: N nodes, D values a row, n destinations of a band, c columns of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from hvdtma.core.compiled import njit
from hvdtma.core.threads import in_order, num_workers
from hvdtma.graph.sort.row_file import RowFile

BAND_BYTES = 32 << 20  # of destinations that are worked on at once
BANDS = 4  # in memory: edges, sums, what is yielded, what is read
READ_ROWS = 1 << 16  # at once
ROWS_AT_ONCE = 1 << 10  # of a band, by one thread


def neighbour_means(
    indptr_N1: np.ndarray,
    indices: Any,
    rows: Any,
    *,
    memory_bytes: int,
    folder: Path | None = None,
    dtype: np.dtype | type = np.float32,
    tell: Callable[[int], object] = lambda _: None,
) -> Iterator[np.ndarray]:
    """Means [n, D] for one band of destinations after the other; 0 where there are no edges.

    Sums are in float32, always in the order of the sources: they do not depend on memory.

    Args:
        indices [E], rows [N, D] of float16 or float32: NumPy arrays, or read by ranges.
        memory_bytes: that may be taken, beside what is in memory already; one column of all nodes,
            and a little to work in, is taken in any case.
        folder: for what does not fit (None: the system's own).
        dtype: of the means.
        tell: called with the number of edges x columns that were added up.
    """
    num_nodes, dim = rows.shape
    bands = list(_bands(indptr_N1, dim * 4, np.dtype(indices.dtype).itemsize))
    files: list[RowFile] = []

    def read_sources(band: tuple[int, int]) -> np.ndarray:
        return indices[int(indptr_N1[band[0]]) : int(indptr_N1[band[1]])]

    itemsize = np.dtype(rows.dtype).itemsize
    held = isinstance(rows, np.ndarray)
    groups = _column_groups(dim, 1 if held else num_groups(num_nodes, dim, itemsize, memory_bytes))
    for number, (left, right) in enumerate(groups):
        bits = _bits(_columns(rows, left, right))
        last = number == len(groups) - 1
        if not last:
            files.append(RowFile(num_nodes, right - left, folder, dtype))
        for (start, stop), sources in zip(bands, in_order(read_sources, bands, 1), strict=True):
            mean_nc = np.zeros((stop - start, right - left), np.float32)
            _add_neighbours(indptr_N1[start : stop + 1], sources, *bits, mean_nc)
            mean_nc = mean_nc.astype(dtype, copy=False)
            tell(len(sources) * (right - left))
            if last:
                before = [file[start:stop] for file in files]
                yield np.concatenate([*before, mean_nc], axis=1) if before else mean_nc
            else:
                files[-1][start:stop] = mean_nc
        del bits


def bytes_taken(
    num_nodes: int,
    dim: int,
    itemsize: int,
    num_edges: int,
    index_bytes: int,
    *,
    held: bool,
    memory_bytes: int,
) -> int:
    """Bytes that `neighbour_means` will take; `held` says that the rows are in memory already."""
    groups = 1 if held else num_groups(num_nodes, dim, itemsize, memory_bytes)
    columns = 0 if held else num_nodes * itemsize * -(-dim // groups)
    several = 1 + (groups > 1)  # earlier groups' columns, and rows put together
    sums, edges = 4 * num_nodes * dim, index_bytes * num_edges
    return columns + several * min(sums, BAND_BYTES) + 2 * min(edges, BAND_BYTES // 2)


def waiting_bytes(
    num_nodes: int, dim: int, itemsize: int, mean_itemsize: int, memory_bytes: int
) -> int:
    """Bytes of the files that all groups of columns but the last wait in."""
    groups = _column_groups(dim, num_groups(num_nodes, dim, itemsize, memory_bytes))
    return num_nodes * groups[-1][0] * mean_itemsize


def least_bytes(num_nodes: int, itemsize: int) -> int:
    """The least `memory_bytes`: a column of all nodes and bands."""
    return num_nodes * itemsize + BANDS * BAND_BYTES


def num_groups(num_nodes: int, dim: int, itemsize: int, memory_bytes: int) -> int:
    """Into how many groups columns are cut, of which one fits in memory."""
    fitting = (memory_bytes - BANDS * BAND_BYTES) // max(num_nodes * itemsize, 1)
    return max(-(-dim // max(fitting, 1)), 1)


def _column_groups(dim: int, groups: int) -> list[tuple[int, int]]:
    """Ranges of columns, as equal as can be."""
    cuts = np.linspace(0, dim, groups + 1).astype(int).tolist()
    return list(pairwise(cuts))


def _columns(rows: Any, left: int, right: int) -> np.ndarray:
    """Some columns of all rows."""
    if isinstance(rows, np.ndarray):
        return rows
    num_rows, dim = rows.shape
    if (left, right) == (0, dim):
        return np.asarray(rows[:])
    out = np.empty((num_rows, right - left), rows.dtype)

    def fill(start: int) -> None:
        out[start : start + READ_ROWS] = rows[start : start + READ_ROWS][:, left:right]

    for _ in in_order(fill, range(0, num_rows, READ_ROWS), num_workers()):
        pass
    return out


def _bits(rows_Nc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows as half floats' bits or as float32, the other of both empty: Numba knows no float16."""
    if rows_Nc.dtype == np.float16:
        return rows_Nc.view(np.uint16), np.zeros((0, 0), np.float32)
    return np.zeros((0, 0), np.uint16), rows_Nc.astype(np.float32, copy=False)


def _bands(indptr_N1: np.ndarray, row_bytes: int, edge_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges of destinations that take at most `BAND_BYTES` with their edges, or are one row."""
    start, num_nodes = 0, len(indptr_N1) - 1
    while start < num_nodes:
        by_edges = indptr_N1[start] + BAND_BYTES // (2 * edge_bytes)
        stop = int(np.searchsorted(indptr_N1, by_edges, side="right")) - 1
        stop = min(max(stop, start + 1), start + max(BAND_BYTES // row_bytes, 1), num_nodes)
        yield start, stop
        start = stop


@intrinsic
def _single(typing_context: Any, bits: Any) -> Any:
    """A half float's bits as a float32: Numba has no such type on CPUs, but LLVM does."""

    def convert(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), convert


@njit(parallel=True, nogil=True)
def _add_neighbours(
    indptr_n1: np.ndarray,
    indices: np.ndarray,
    half_Nc: np.ndarray,
    single_Nc: np.ndarray,
    mean_nc: np.ndarray,
) -> None:
    """Fill in the means of destinations whose edges are `indices`."""
    columns, halves = mean_nc.shape[1], len(half_Nc) > 0
    for piece in prange(-(-len(mean_nc) // ROWS_AT_ONCE)):
        for row in range(piece * ROWS_AT_ONCE, min((piece + 1) * ROWS_AT_ONCE, len(mean_nc))):
            for edge in range(indptr_n1[row] - indptr_n1[0], indptr_n1[row + 1] - indptr_n1[0]):
                source = indices[edge]
                if halves:
                    for c in range(columns):
                        mean_nc[row, c] += _single(half_Nc[source, c])  # type: ignore[call-arg]
                else:
                    for c in range(columns):
                        mean_nc[row, c] += single_Nc[source, c]
            degree = indptr_n1[row + 1] - indptr_n1[row]
            if degree:
                for c in range(columns):
                    mean_nc[row, c] /= np.float32(degree)
