"""Choose the candidates of each edge type from the nodes that its links begin and end at.

Legend: T edge types (1 for edges without types), R = 2 T roles: role 2 t is that of the sources of
type t, role 2 t + 1 that of its destinations.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from hvdtma.graph.candidates import ALL_NODES, CandidateRules

Roles = tuple[int, ...]
LEAST_SIDE = 2  # nodes: with one node there, every link of the other side has that end


def choose_rules(
    shared_RR: np.ndarray, nodes_R: np.ndarray, undirected: bool, option: str
) -> tuple[CandidateRules, list[Roles]]:
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
    numbers: dict[Roles, int] = {}  # of sets
    src_sets: list[int] = []
    dst_sets: list[int] = []
    reasons = []
    for src, dst in zip(range(0, len(nodes_R), 2), range(1, len(nodes_R), 2), strict=True):
        apart = not shared_RR[src, dst]
        of_src: Roles = ()
        of_dst: Roles = ()
        reason = "all"
        if not used_R[src]:
            pass
        elif option == "seen" or (apart and nodes_R[[src, dst]].min() >= LEAST_SIDE):
            reason = "sides" if apart else "seen"
            of_src, of_dst = ((src,), (dst,)) if apart else ((src, dst), (src, dst))
            if not undirected:  # only destinations are replaced
                of_src = of_dst = (dst,)
        elif several and kind_R[src] == kind_R[dst]:
            reason = "kind"
            of_src = of_dst = tuple(np.flatnonzero(used_R & (kind_R == kind_R[src])).tolist())
        for roles, sets in ((of_src, src_sets), (of_dst, dst_sets)):
            sets.append(numbers.setdefault(roles, len(numbers)) if roles else ALL_NODES)
        reasons.append(reason)
    rules = CandidateRules(option, tuple(src_sets), tuple(dst_sets), (), tuple(reasons))
    return rules, list(numbers)


def is_settled(shared_RR: np.ndarray) -> bool:
    """Whether all nodes are candidates of every type, whatever other edges there are."""
    overlap = shared_RR[np.arange(0, len(shared_RR), 2), np.arange(1, len(shared_RR), 2)]
    return bool(overlap.all()) and connected_components(shared_RR, directed=False)[0] == 1
