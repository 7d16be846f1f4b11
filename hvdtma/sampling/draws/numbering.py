"""Node numbers of a batch: from numbers in the shard to positions among the batch's nodes.

Legend: S seeds, E edges, n distinct nodes.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.hashing import GAMMA


@njit(nogil=True)
def renumber(seeds_S: np.ndarray, source_E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct nodes [n], seeds first, and the positions of the sources among them [E].

    The other nodes follow in the order in which the sources name them. A hash table with open
    addressing.

    Args:
        seeds_S: int64, distinct.
        source_E: int64.
    """
    bits = 4
    while (1 << bits) < 2 * (len(seeds_S) + len(source_E)):
        bits += 1
    shift, last = np.uint64(64 - bits), (1 << bits) - 1
    slot_node = np.full(1 << bits, -1, np.int64)
    slot_place = np.empty(1 << bits, np.int32)
    nodes = np.empty(len(seeds_S) + len(source_E), np.int64)
    local = np.empty(len(source_E), np.int64)
    num_nodes = 0
    for number in range(len(seeds_S) + len(source_E)):
        node = seeds_S[number] if number < len(seeds_S) else source_E[number - len(seeds_S)]
        slot = np.int64((np.uint64(node) * GAMMA) >> shift)
        while slot_node[slot] != node and slot_node[slot] >= 0:
            slot = (slot + 1) & last
        if slot_node[slot] < 0:
            slot_node[slot], slot_place[slot] = node, num_nodes
            nodes[num_nodes] = node
            num_nodes += 1
        if number >= len(seeds_S):
            local[number - len(seeds_S)] = slot_place[slot]
    return nodes[:num_nodes].copy(), local
