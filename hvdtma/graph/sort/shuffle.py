"""Put the rows of an array in another order when they do not fit in memory.

Two sequential passes: the first appends each row to the file of its range in the new order, the
second puts the ranges in order one by one.

Legend: R rows, n rows of a piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hvdtma.core.threads import map_in_order, num_workers

MAX_RANGES = 512  # open files


def shuffled_rows(
    pieces: Iterable[np.ndarray],
    rank_R: np.ndarray,
    folder: Path,
    memory_bytes: int,
    row_bytes: int,
) -> Iterator[np.ndarray]:
    """Yield the rows in a new order, in pieces.

    Args:
        pieces: the rows in the old order, [n, ...] each.
        rank_R: the new position of each row, a permutation.
        folder: for files, which are deleted again; not used if all rows fit in memory.
        memory_bytes: the memory for the ranges in work.
        row_bytes: the size of a row.
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

    yield from map_in_order(take, range(num_ranges), num_workers())


def rows_per_range(rank_R: np.ndarray, memory_bytes: int, row_bytes: int) -> int:
    """The number of rows of a range."""
    max_rows = memory_bytes // in_flight_bytes(row_bytes + rank_R.itemsize)
    return max(max_rows, -(-len(rank_R) // MAX_RANGES), 1)


def least_bytes(num_rows: int, row_bytes: int) -> int:
    """The least `memory_bytes` for shuffling `num_rows` rows."""
    return in_flight_bytes(row_bytes + 8) * -(-num_rows // MAX_RANGES)


def in_flight_bytes(row_bytes: int) -> int:
    """The memory per row of a range: a copy as read and a copy in order, for every worker."""
    return 2 * (num_workers() + 1) * max(row_bytes, 1)


def _scatter(
    pieces: Iterable[np.ndarray], rank_R: np.ndarray, folder: Path, range_rows: int
) -> tuple[np.dtype, tuple[int, ...]]:
    """Append every row and its position within its range to the files of the range."""
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
    """For each range among the new positions rank_n: its number, and the rows that belong to it."""
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
