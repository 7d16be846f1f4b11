"""Put string ids in another order when they do not fit in memory: `shuffled_rows` for strings.

Legend: N nodes, n nodes of a piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.sort.shuffle import by_range, rows_per_range
from hvdtma.storage.node_ids import NodeIds

ROW_BYTES = 16  # per id besides its text: the offset, as read and in order


def shuffled_ids(
    pieces: Iterable[NodeIds],
    rank_N: np.ndarray,
    folder: Path,
    memory_bytes: int,
    id_bytes: int,
) -> Iterator[NodeIds]:
    """Yield the ids in a new order, in pieces.

    Args:
        pieces: string ids in the old order, n at a time.
        rank_N: the new position of each id, a permutation.
        folder: for files, which are deleted again; not used if all ids fit in memory.
        memory_bytes: the memory for the ranges in work.
        id_bytes: the mean number of UTF-8 bytes of an id.
    """
    range_rows = rows_per_range(rank_N, memory_bytes, id_bytes + ROW_BYTES)
    if len(rank_N) <= range_rows:
        yield _placed(NodeIds(pa.concat_arrays([piece.values for piece in pieces])), rank_N)
        return
    folder.mkdir(parents=True, exist_ok=True)
    start = 0
    for piece in pieces:
        rank_n = rank_N[start : start + len(piece)]
        start += len(piece)
        for number, chosen in by_range(rank_n, range_rows):
            arrays = piece.take(chosen).as_arrays()
            within = rank_n[chosen] - np.asarray(number * range_rows, rank_N.dtype)
            values = (np.diff(arrays["offsets"]), arrays["utf8"], within)
            for file, written in zip(_files(folder, number), values, strict=True):
                with file.open("ab") as out:
                    out.write(np.ascontiguousarray(written).view(np.uint8).data)

    def take(number: int) -> NodeIds:
        lengths_file, utf8_file, rank_file = files = _files(folder, number)
        length_n = np.fromfile(lengths_file, np.int64)
        utf8 = np.fromfile(utf8_file, np.uint8)
        within = np.fromfile(rank_file, rank_N.dtype)
        for file in files:
            file.unlink()
        offsets = np.append(0, np.cumsum(length_n))
        return _placed(NodeIds.from_arrays({"offsets": offsets, "utf8": utf8}), within)

    yield from map_in_order(take, range(-(-len(rank_N) // range_rows)), num_workers())


def _files(folder: Path, number: int) -> tuple[Path, Path, Path]:
    return folder / f"{number}.lengths", folder / f"{number}.utf8", folder / f"{number}.rank"


def _placed(ids: NodeIds, rank_n: np.ndarray) -> NodeIds:
    order_n = np.empty_like(rank_n)
    order_n[rank_n] = np.arange(len(rank_n), dtype=rank_n.dtype)
    return ids.take(order_n)
