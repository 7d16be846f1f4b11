"""METIS (Karypis and Kumar, SIAM J. Sci. Comput. 1998) on a training graph.

Legend: N nodes, P parts.
"""

from __future__ import annotations

import numpy as np
import pymetis

from hvdtma.graph.csc import CSC, build_csc


def metis_parts(csc: CSC, num_parts: int, *, seed: int, balance: str = "nodes") -> np.ndarray:
    """Part int64 [N] of every node, minimising cut edges; parts balanced by `nodes` or `edges`."""
    if num_parts == 1:
        return np.zeros(csc.num_nodes, np.int64)
    both = symmetric(csc)
    degree_N = np.diff(both.indptr)
    _, part_N = pymetis.part_graph(
        num_parts,
        pymetis.CSRAdjacency(both.indptr, both.indices),
        vweights=degree_N + 1 if balance == "edges" else None,
        recursive=False,
        options=pymetis.Options(seed=seed, numbering=0),
    )
    return np.asarray(part_N, dtype=np.int64)


def symmetric(csc: CSC) -> CSC:
    """The graph with every edge in both directions, once."""
    src = csc.indices.astype(np.int64)
    dst = csc.destinations().astype(np.int64)
    key = np.unique(np.r_[dst * csc.num_nodes + src, src * csc.num_nodes + dst])
    dst, src = np.divmod(key, csc.num_nodes)
    return build_csc(src, dst, csc.num_nodes)
