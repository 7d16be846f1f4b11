"""SortedRows of an array put in another order, when they do not fit in memory.

Two sequential passes: each row is appended to the file of the range that it will be in, then one
range at a time is put in order. Legend: R rows, n rows of a piece, B ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hvdtma.core.threads import in_order, num_workers

MAX_RANGES = 512  # files that are appended to


def shuffled_rows(
    pieces: Iterable[np.ndarray],
    rank_R: np.ndarray,
    folder: Path,
    memory_bytes: int,
    row_bytes: int,
) -> Iterator[np.ndarray]:
    """Every row once, in a new order and in pieces; to be gone through once.

    Args:
        pieces: the rows in their old order, [n, ...] each.
        rank_R: where each row goes, a permutation.
        folder: for what does not fit; made if needed, and emptied of what was written.
        memory_bytes: that a range and what is made of it may take.
        row_bytes: of one row; where all fit in memory, nothing is written.
    """
    num_rows = len(rank_R)
    range_rows = rows_per_range(rank_R, memory_bytes, row_bytes)
    if num_rows <= range_rows:
        yield _placed(list(pieces), [rank_R])
        return
    folder.mkdir(parents=True, exist_ok=True)
    num_ranges = -(-num_rows // range_rows)
    kind, row_shape = _scatter(pieces, rank_R, folder, range_rows)

    def take(number: int) -> np.ndarray:
        rows_file, rank_file = _files(folder, number)
        rank = np.fromfile(rank_file, rank_R.dtype)
        rows = np.fromfile(rows_file, kind).reshape(len(rank), *row_shape)
        rows_file.unlink()
        rank_file.unlink()
        return _placed([rows], [rank])

    yield from in_order(take, range(num_ranges), num_workers())


def rows_per_range(rank_R: np.ndarray, memory_bytes: int, row_bytes: int) -> int:
    """How many rows are put in order at once."""
    fitting = memory_bytes // in_flight_bytes(row_bytes + rank_R.itemsize)
    return max(fitting, -(-len(rank_R) // MAX_RANGES), 1)


def least_bytes(num_rows: int, row_bytes: int) -> int:
    """The least `memory_bytes` in which so many rows can be shuffled."""
    return in_flight_bytes(row_bytes + 8) * -(-num_rows // MAX_RANGES)


def in_flight_bytes(row_bytes: int) -> int:
    """MemoryBudget for each row of a range: as it was written and in order, for all workers."""
    return 2 * (num_workers() + 1) * max(row_bytes, 1)


def _scatter(
    pieces: Iterable[np.ndarray], rank_R: np.ndarray, folder: Path, range_rows: int
) -> tuple[np.dtype, tuple[int, ...]]:
    """Append every row, and its place within its range, to that range's files."""
    start, kind, row_shape = 0, np.dtype(np.uint8), ()
    for piece in pieces:
        if not len(piece):
            continue
        kind, row_shape = piece.dtype, piece.shape[1:]
        rank_n = rank_R[start : start + len(piece)]
        start += len(piece)
        for number, chosen in by_range(rank_n, range_rows):
            rows_file, rank_file = _files(folder, number)
            within = rank_n[chosen] - np.asarray(number * range_rows, rank_R.dtype)
            for file, values in ((rows_file, piece[chosen]), (rank_file, within)):
                with file.open("ab") as out:
                    out.write(np.ascontiguousarray(values).view(np.uint8).data)
    return kind, row_shape


def by_range(rank_n: np.ndarray, range_rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """The ranges that some rows go to, and which rows go to each."""
    range_n = rank_n // range_rows
    order_n = np.argsort(range_n, kind="stable")
    present, first = np.unique(range_n[order_n], return_index=True)
    yield from zip(present.tolist(), np.split(order_n, first[1:]), strict=True)


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number}.rows", folder / f"{number}.rank"


def _placed(pieces: list[np.ndarray], ranks: list[np.ndarray]) -> np.ndarray:
    rows, rank = np.concatenate(pieces), np.concatenate(ranks)
    placed = np.empty_like(rows)
    placed[rank] = rows
    return placed
