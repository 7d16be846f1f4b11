"""The training links of some nodes, which are left out of their recommendations.

Legend: Q nodes that are asked for, L links.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import edge_batches


class KnownLinks(NamedTuple):
    """Links from the nodes that are asked for, by destination.

    Attributes:
        row: int64 [L], the position of each source among the nodes.
        node: int64 [L], the destinations, ascending.
    """

    row: np.ndarray
    node: np.ndarray

    def within(self, node_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the links to some nodes, int64; the nodes are ascending."""
        first, last = np.searchsorted(self.node, [node_C[0], node_C[-1] + 1])
        row, node = self.row[first:last], self.node[first:last]
        column = np.searchsorted(node_C, node)
        there = node_C[column] == node
        return row[there], column[there]


def known_links(store: GraphStore, node_Q: np.ndarray, type_number: int | None) -> KnownLinks:
    """The training links from distinct nodes; of an undirected graph, those of either direction.

    All edges are read once, in order, for the store has them by destination.

    Args:
        type_number: of the links; None: of every type.
    """
    place_N = np.full(store.num_nodes, -1, np.int32)
    place_N[node_Q] = np.arange(len(node_Q))
    rows, nodes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for read in edge_batches(store):
        batch = read()
        row = place_N[batch.src]
        found = row >= 0
        if type_number is not None:
            assert batch.types is not None
            found &= batch.types == type_number
        rows.append(row[found].astype(np.int64))
        nodes.append(batch.dst[found].astype(np.int64))
    return KnownLinks(np.concatenate(rows), np.concatenate(nodes))
