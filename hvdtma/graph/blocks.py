"""Blocks: contiguous ranges of nodes, the units of reading and of assignment.

Legend: N nodes, B blocks, U units.
"""

from __future__ import annotations

import numpy as np

from hvdtma.storage.array_writer import CHUNK_BYTES

MIN_BLOCKS = 256  # enough for even assignments to many trainers
MAX_BLOCK_NODES = 1 << 16
SMALL_CHUNK_BYTES = 1 << 20  # smaller chunks take longer to open than to read


def default_block_size(num_nodes: int, row_bytes: int) -> int:
    """Nodes per block: about one chunk of features, and at least 256 blocks."""
    by_bytes = CHUNK_BYTES // max(row_bytes, 1)
    return max(1, min(by_bytes, -(-num_nodes // MIN_BLOCKS), MAX_BLOCK_NODES))


def rows_per_chunk(block_nodes: int, row_bytes: int) -> int:
    """Rows per chunk of a node array: one block, or several small ones."""
    return block_nodes * max(SMALL_CHUNK_BYTES // max(block_nodes * row_bytes, 1), 1)


def equal_blocks(num_nodes: int, block_nodes: int) -> np.ndarray:
    """block_offsets int64 [B+1] of blocks of `block_nodes` nodes; the last may be smaller."""
    return np.append(np.arange(0, num_nodes, block_nodes, dtype=np.int64), num_nodes)


def blocks_of_units(unit_sizes: np.ndarray, block_nodes: int) -> np.ndarray:
    """block_offsets int64 [B+1] of blocks of about `block_nodes` nodes that never cut a unit.

    Units, such as super-nodes, are consecutive ranges of nodes. A unit that is larger than
    `block_nodes` becomes a block of its own.
    """
    ends_U = np.cumsum(unit_sizes)
    offsets = [0]
    for end, following in zip(ends_U, np.append(unit_sizes[1:], 0), strict=True):
        size = end - offsets[-1]
        too_large_with_next = size + following / 2 >= block_nodes
        if size > 0 and (too_large_with_next or end == ends_U[-1]):
            offsets.append(int(end))
    return np.array(offsets, dtype=np.int64)
