"""Means over in-neighbours, when neither rows nor edges fit in memory.

The columns of the rows are processed in groups. One group of columns of all nodes is in memory at
a time, so that any neighbour can be looked up, while the edges are read sequentially. The results
of all groups but the last are stored in files, and the last group completes the rows.

Legend: N nodes, E edges, D values per row, n destinations of a band, c columns of a group.
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
from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.storage.row_file import RowFile

BAND_BYTES = 32 << 20  # the size of a band, a range of destinations
BANDS = 4  # buffers of this size in memory: edges, sums, yielded means, means read from files
READ_ROWS = 1 << 16  # rows per read
ROWS_AT_ONCE = 1 << 10  # rows of a band per thread
WEIGHT_BYTES = 4  # per edge


def neighbour_means(
    indptr_N1: np.ndarray,
    indices: Any,
    rows: Any,
    *,
    memory_bytes: int,
    weights: Any = None,
    folder: Path | None = None,
    dtype: np.dtype | type = np.float32,
    advance: Callable[[int], object] = lambda _: None,
) -> Iterator[np.ndarray]:
    """Yield means [n, D], band by band; 0 for a node without in-edges.

    Sums are in float32 and in the order of the sources, so they do not depend on the memory. A
    weighted mean is sum(w x) / sum(w), with the weights relative to the largest one of the row: no
    sum overflows, and equal weights give exactly the mean without weights.

    Args:
        indptr_N1: int64 [N+1]; destinations may be of another kind, and number, than sources.
        indices, rows: [E] and [N, D] of float16 or float32; arrays, or readers of row ranges.
        memory_bytes: the memory to use, besides arguments in memory; at least `least_bytes` is
            used in any case.
        weights: float32 [E] of the edges, in the form of `indices`; None: every edge counts 1.
        folder: for scratch files (None: the system's folder for temporary files).
        dtype: of the means.
        advance: called with the number of edges x columns that were summed.
    """
    num_nodes, dim = rows.shape
    num_means = len(indptr_N1) - 1
    edge_bytes = np.dtype(indices.dtype).itemsize + (0 if weights is None else WEIGHT_BYTES)
    bands = list(_bands(indptr_N1, dim * 4, edge_bytes))
    files: list[RowFile] = []

    def read_edges(band: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        edges = slice(int(indptr_N1[band[0]]), int(indptr_N1[band[1]]))
        return indices[edges], np.zeros(0, np.float32) if weights is None else weights[edges]

    itemsize = np.dtype(rows.dtype).itemsize
    in_memory = isinstance(rows, np.ndarray)
    num = 1 if in_memory else num_groups(num_nodes, dim, itemsize, memory_bytes)
    groups = _column_groups(dim, num)
    for number, (left, right) in enumerate(groups):
        bits = _bits(_columns(rows, left, right))
        last = number == len(groups) - 1
        if not last:
            files.append(RowFile(num_means, right - left, folder, dtype))
        for (start, stop), edges in zip(bands, map_in_order(read_edges, bands, 1), strict=True):
            sources, weight_e = edges
            mean_nc = np.zeros((stop - start, right - left), np.float32)
            indptr_n1 = indptr_N1[start : stop + 1]
            if weights is None:
                _add_neighbours(indptr_n1, sources, *bits, mean_nc)
            else:
                _add_weighted(indptr_n1, sources, weight_e, *bits, mean_nc)
            mean_nc = mean_nc.astype(dtype, copy=False)
            advance(len(sources) * (right - left))
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
    in_memory: bool,
    memory_bytes: int,
) -> int:
    """The memory that `neighbour_means` will use; `in_memory`: whether the rows are an array."""
    groups = 1 if in_memory else num_groups(num_nodes, dim, itemsize, memory_bytes)
    columns = 0 if in_memory else num_nodes * itemsize * -(-dim // groups)
    several = 1 + (groups > 1)  # also the columns of earlier groups, and the complete rows
    sums, edges = 4 * num_nodes * dim, index_bytes * num_edges
    return columns + several * min(sums, BAND_BYTES) + 2 * min(edges, BAND_BYTES // 2)


def group_file_bytes(
    num_nodes: int, dim: int, itemsize: int, mean_itemsize: int, memory_bytes: int
) -> int:
    """The size of the files for all groups of columns but the last."""
    groups = _column_groups(dim, num_groups(num_nodes, dim, itemsize, memory_bytes))
    return num_nodes * groups[-1][0] * mean_itemsize


def least_bytes(num_nodes: int, itemsize: int) -> int:
    """The least `memory_bytes`: one column of all nodes, and bands."""
    return num_nodes * itemsize + BANDS * BAND_BYTES


def num_groups(num_nodes: int, dim: int, itemsize: int, memory_bytes: int) -> int:
    """The number of groups of columns, of which one fits in memory."""
    fitting = (memory_bytes - BANDS * BAND_BYTES) // max(num_nodes * itemsize, 1)
    return max(-(-dim // max(fitting, 1)), 1)


def _column_groups(dim: int, groups: int) -> list[tuple[int, int]]:
    """Ranges of columns of about equal size."""
    cuts = np.linspace(0, dim, groups + 1).astype(int).tolist()
    return list(pairwise(cuts))


def _columns(rows: Any, left: int, right: int) -> np.ndarray:
    """The columns left:right of all rows; all columns if the rows are an array."""
    if isinstance(rows, np.ndarray):
        return rows
    num_rows, dim = rows.shape
    if (left, right) == (0, dim):
        return np.asarray(rows[:])
    out = np.empty((num_rows, right - left), rows.dtype)

    def fill(start: int) -> None:
        out[start : start + READ_ROWS] = rows[start : start + READ_ROWS][:, left:right]

    for _ in map_in_order(fill, range(0, num_rows, READ_ROWS), num_workers()):
        pass
    return out


def _bits(rows_Nc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows as (bits of float16, empty) or (empty, float32): Numba has no float16."""
    if rows_Nc.dtype == np.float16:
        return rows_Nc.view(np.uint16), np.zeros((0, 0), np.float32)
    return np.zeros((0, 0), np.uint16), rows_Nc.astype(np.float32, copy=False)


def _bands(indptr_N1: np.ndarray, row_bytes: int, edge_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges of destinations that use at most `BAND_BYTES` with their edges, or a single one."""
    start, num_nodes = 0, len(indptr_N1) - 1
    while start < num_nodes:
        by_edges = indptr_N1[start] + BAND_BYTES // (2 * edge_bytes)
        stop = int(np.searchsorted(indptr_N1, by_edges, side="right")) - 1
        stop = min(max(stop, start + 1), start + max(BAND_BYTES // row_bytes, 1), num_nodes)
        yield start, stop
        start = stop


@intrinsic
def _single(typing_context: Any, bits: Any) -> Any:
    """The float32 of a float16's bits: Numba has no float16 on CPUs, but LLVM does."""

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
    """Fill in the means of a band of destinations, whose sources are `indices`."""
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


@njit(parallel=True, nogil=True)
def _add_weighted(
    indptr_n1: np.ndarray,
    indices: np.ndarray,
    weight_e: np.ndarray,
    half_Nc: np.ndarray,
    single_Nc: np.ndarray,
    mean_nc: np.ndarray,
) -> None:
    """`_add_neighbours` with weights float32 [e], relative to the largest one of each row."""
    columns, halves = mean_nc.shape[1], len(half_Nc) > 0
    for piece in prange(-(-len(mean_nc) // ROWS_AT_ONCE)):
        for row in range(piece * ROWS_AT_ONCE, min((piece + 1) * ROWS_AT_ONCE, len(mean_nc))):
            first, last = indptr_n1[row] - indptr_n1[0], indptr_n1[row + 1] - indptr_n1[0]
            largest = np.float32(0)
            for edge in range(first, last):
                largest = max(largest, weight_e[edge])
            total = 0.0
            for edge in range(first, last):
                source, weight = indices[edge], weight_e[edge] / largest
                total += weight
                if halves:
                    for c in range(columns):
                        mean_nc[row, c] += weight * _single(half_Nc[source, c])  # type: ignore[call-arg]
                else:
                    for c in range(columns):
                        mean_nc[row, c] += weight * single_Nc[source, c]
            if last > first:
                for c in range(columns):
                    mean_nc[row, c] /= np.float32(total)
