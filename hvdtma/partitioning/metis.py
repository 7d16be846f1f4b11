"""METIS (Karypis and Kumar, SIAM J. Sci. Comput. 1998), and the memory that it takes.

Legend: N nodes, E edges (each direction counts), P parts.
"""

from __future__ import annotations

import numpy as np
import pymetis

from hvdtma.graph.csc import CSC, build_csc

METIS_EDGE_BYTES = 130  # measured, including its input; see docs/method.md
METIS_NODE_BYTES = 400


def metis_bytes(num_nodes: int, num_edges: int) -> int:
    """Bytes that METIS takes for N nodes and E edges."""
    return METIS_EDGE_BYTES * num_edges + METIS_NODE_BYTES * num_nodes


def metis_parts(csc: CSC, num_parts: int, *, seed: int, balance: str = "nodes") -> np.ndarray:
    """The part of every node int64 [N], with few cut edges.

    Args:
        csc: a graph, directed or undirected.
        balance: parts have about equal numbers of `nodes` or `edges`.
    """
    if num_parts == 1:
        return np.zeros(csc.num_nodes, np.int64)
    undirected = symmetric(csc)
    weight_N = np.diff(undirected.indptr) + 1 if balance == "edges" else None
    return metis_groups(undirected, num_parts, seed, weight_N)


def metis_groups(
    csc: CSC,
    num_parts: int,
    seed: int,
    node_weight_N: np.ndarray | None = None,
    edge_weight_E: np.ndarray | None = None,
) -> np.ndarray:
    """The part of every node int64 [N].

    Args:
        csc: a graph that has each edge in both directions, without repeats.
        num_parts: P, at least 2.
    """
    dtype = pymetis.zero_copy_dtype()

    def as_index(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values, dtype)

    _, part_N = pymetis.part_graph(
        num_parts,
        pymetis.CSRAdjacency(as_index(csc.indptr), as_index(csc.indices)),
        vweights=None if node_weight_N is None else as_index(node_weight_N),
        eweights=None if edge_weight_E is None else as_index(edge_weight_E),
        recursive=False,
        options=pymetis.Options(seed=seed, numbering=0),
    )
    return np.asarray(part_N, dtype=np.int64)


def symmetric(csc: CSC) -> CSC:
    """The graph with each edge in both directions, without repeats."""
    src = csc.indices.astype(np.int64)
    dst = csc.destinations().astype(np.int64)
    key = np.unique(np.r_[dst * csc.num_nodes + src, src * csc.num_nodes + dst])
    dst, src = np.divmod(key, csc.num_nodes)
    return build_csc(src, dst, csc.num_nodes)
