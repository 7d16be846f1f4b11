"""Find two sides in a graph whose links are given in either direction.

Every link joins two colours if the graph is bipartite; then both are the sides, whatever the
direction of a link in the input. The colours are found while edges are read: a union-find structure
keeps each node's colour relative to the root of its component, until a link joins a colour with
itself. A tree has two colours as well, by necessity. Colours count as sides only if many links
close a cycle: in a graph of one kind half of these would join a colour with itself.

Legend: N nodes, E edges of a batch.
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.hashing import pair_hashes

MAX_NODES = 1 << 24  # with more nodes, sides follow from the direction of the input only
LEAST_CYCLES, LEAST_SHARE = 64, 0.1  # links that close a cycle, and their share of all links
SKETCH = 4096  # the smallest hashes of links, from which distinct links are counted within 2 %
NODE_BYTES = 9  # parent, colour, votes


class TwoColours:
    """The colours of the nodes; not thread-safe."""

    def __init__(self, num_nodes: int):
        self.parent_N: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
        self.colour_N = np.zeros(num_nodes, np.uint8)  # relative to the parent's
        self.smallest = np.zeros(0, np.uint64)

    def add(self, src_E: np.ndarray, dst_E: np.ndarray) -> bool:
        """Add links; return whether two colours are still enough."""
        if not _join(self.parent_N, self.colour_N, src_E, dst_E):
            return False
        hashes = pair_hashes(src_E, dst_E, 0)[src_E != dst_E]
        if len(self.smallest) == SKETCH:
            hashes = hashes[hashes < self.smallest[-1]]
        self.smallest = np.union1d(self.smallest, hashes)[:SKETCH]
        return True

    def roles(self, role_N: np.ndarray) -> np.ndarray | None:
        """For each node 1 or 2, its side; 0 without links. None if the colours are no sides.

        Args:
            role_N: uint8 bits of each node: 1 if it was seen as a source, 2 as a destination. Side
                1 of a component is the colour that agrees with most nodes that have one role.
        """
        found_N, num_roots = _sides(self.parent_N, self.colour_N, role_N)
        num_links = float(len(self.smallest))
        if num_links == SKETCH:
            num_links = (SKETCH - 1) / (float(self.smallest[-1]) / 2.0**64)
        cycles = num_links - (np.count_nonzero(role_N) - num_roots)
        return found_N if cycles >= max(LEAST_CYCLES, LEAST_SHARE * num_links) else None


@njit(nogil=True)
def _find(parent_N: np.ndarray, colour_N: np.ndarray, node: int) -> tuple[int, int]:
    """The root of a node and the node's colour relative to it; shortens the path to the root."""
    root, colour = node, 0
    while parent_N[root] != root:
        colour ^= colour_N[root]
        root = parent_N[root]
    of_node = colour
    while parent_N[node] != root and node != root:
        above, own = parent_N[node], colour_N[node]
        parent_N[node], colour_N[node] = root, colour
        colour ^= own
        node = above
    return root, of_node


@njit(nogil=True)
def _join(parent_N: np.ndarray, colour_N: np.ndarray, src_E: np.ndarray, dst_E: np.ndarray) -> bool:
    """Give the ends of each link different colours; False if that is impossible."""
    for edge in range(len(src_E)):
        if src_E[edge] == dst_E[edge]:
            continue
        src, src_colour = _find(parent_N, colour_N, src_E[edge])
        dst, dst_colour = _find(parent_N, colour_N, dst_E[edge])
        if src == dst:
            if src_colour == dst_colour:
                return False
        else:
            low, high = min(src, dst), max(src, dst)
            parent_N[high] = low
            colour_N[high] = 1 ^ src_colour ^ dst_colour
    return True


@njit(nogil=True)
def _sides(
    parent_N: np.ndarray, colour_N: np.ndarray, role_N: np.ndarray
) -> tuple[np.ndarray, int]:
    """The side of each node that has a role, 1 or 2, and the number of components of these nodes.

    A root is the lowest node of its component, whatever the order of the links.
    """
    votes_N, side_N, num_roots = np.zeros(len(parent_N), np.int32), role_N.copy(), 0
    for node in range(len(parent_N)):
        if role_N[node]:
            root, colour = _find(parent_N, colour_N, node)
            num_roots += root == node
            if role_N[node] != 3:
                votes_N[root] += 1 if role_N[node] == 1 + colour else -1
    for node in range(len(parent_N)):
        if role_N[node]:
            root, colour = _find(parent_N, colour_N, node)
            side_N[node] = 1 + (colour ^ (votes_N[root] < 0))
    return side_N, num_roots
