"""Choose the candidates of each edge type from the nodes that its links begin and end at.

Legend: T edge types (1 for edges without types), R = 2 T roles: role 2 t is that of the sources of
type t, role 2 t + 1 that of its destinations.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from hvdtma.graph.candidates import ALL_NODES, CandidateRules

LEAST_SIDE = 2  # nodes: with one node there, every link of the other side has that end


def choose_rules(
    shared_RR: np.ndarray, nodes_R: np.ndarray, undirected: bool, option: str
) -> tuple[CandidateRules, list[tuple[int, ...]]]:
    """The candidates of each edge type, and for each set the roles of its nodes.

    Args:
        shared_RR: bool, whether a node has both roles.
        nodes_R: the number of nodes of each role.
        option: `auto` or `seen`.

    A type whose sources and destinations do not overlap has two sides, and an end is replaced from
    its own side. The ends of other types are of one kind: roles that share a node are. If there are
    several kinds, an end is replaced from its kind, else from all nodes. With `seen`, a destination
    is replaced from the destinations of its type in any case.

    The sizes of the sets are left out.
    """
    kind_R = connected_components(shared_RR, directed=False)[1]
    used_R = nodes_R > 0
    several = len(np.unique(kind_R[used_R])) > 1
    sets: dict[tuple[int, ...], int] = {}
    chosen = []
    for src in range(0, len(nodes_R), 2):
        dst = src + 1
        apart = not shared_RR[src, dst]
        if not used_R[src]:
            roles, reason = None, "all"
        elif option == "seen" or (apart and nodes_R[[src, dst]].min() >= LEAST_SIDE):
            roles = ((src,), (dst,)) if apart else ((src, dst), (src, dst))
            if not undirected:  # only destinations are replaced
                roles = (dst,), (dst,)
            reason = "sides" if apart else "seen"
        elif several and kind_R[src] == kind_R[dst]:
            of_kind = tuple(np.flatnonzero(used_R & (kind_R == kind_R[src])).tolist())
            roles, reason = (of_kind, of_kind), "kind"
        else:
            roles, reason = None, "all"
        numbers = (
            (ALL_NODES, ALL_NODES)
            if roles is None
            else tuple(sets.setdefault(each, len(sets)) for each in roles)
        )
        chosen.append((*numbers, reason))
    src_set, dst_set, reasons = zip(*chosen, strict=True)
    return CandidateRules(option, src_set, dst_set, (), reasons), list(sets)


def is_settled(shared_RR: np.ndarray) -> bool:
    """Whether all nodes are candidates of every type, whatever other edges there are."""
    overlap = shared_RR[np.arange(0, len(shared_RR), 2), np.arange(1, len(shared_RR), 2)]
    return bool(overlap.all()) and connected_components(shared_RR, directed=False)[0] == 1
