"""Rows of an array put in another order, when they do not fit in memory.

Two sequential passes: each row is appended to the file of the range that it will be in, then one
range at a time is put in order. Legend: R rows, n rows of a piece, B ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hvdtma.graph.external.threads import in_order, num_workers

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
    in_flight = 2 * (num_workers() + 1)  # a range as it was written, and in order
    range_rows = max(memory_bytes // in_flight // max(row_bytes + rank_R.itemsize, 1), 1)
    range_rows = max(range_rows, -(-num_rows // MAX_RANGES))
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


def _scatter(
    pieces: Iterable[np.ndarray], rank_R: np.ndarray, folder: Path, range_rows: int
) -> tuple[np.dtype, tuple[int, ...]]:
    """Append every row, and its place within its range, to that range's files."""
    start, kind, row_shape = 0, np.dtype(np.uint8), ()
    for piece in pieces:
        kind, row_shape = piece.dtype, piece.shape[1:]
        rank_n = rank_R[start : start + len(piece)]
        start += len(piece)
        range_n = rank_n // range_rows
        order_n = np.argsort(range_n, kind="stable")
        present, first = np.unique(range_n[order_n], return_index=True)
        for number, chosen in zip(present.tolist(), np.split(order_n, first[1:]), strict=True):
            rows_file, rank_file = _files(folder, number)
            within = rank_n[chosen] - np.asarray(number * range_rows, rank_R.dtype)
            for file, values in ((rows_file, piece[chosen]), (rank_file, within)):
                with file.open("ab") as out:
                    out.write(np.ascontiguousarray(values).view(np.uint8).data)
    return kind, row_shape


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number}.rows", folder / f"{number}.rank"


def _placed(pieces: list[np.ndarray], ranks: list[np.ndarray]) -> np.ndarray:
    rows, rank = np.concatenate(pieces), np.concatenate(ranks)
    placed = np.empty_like(rows)
    placed[rank] = rows
    return placed
