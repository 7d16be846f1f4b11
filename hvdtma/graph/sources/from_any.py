"""A graph from any object that holds one."""

from __future__ import annotations

from typing import Any

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.graph.source import Source
from hvdtma.graph.sources.edge_lists import from_edges, from_scipy
from hvdtma.graph.sources.frameworks import from_dgl, from_pyg, is_several
from hvdtma.graph.sources.tensors import is_sparse


def graph_from(given: Any, *, undirected: bool = False) -> Source:
    """The graph in an object: a `Source`, or what the functions of this package read.

    Args:
        given: a `Source`; a DGLGraph, also with several types; a PyG `Data`, or three of them, or
            a `HeteroData`; a sparse adjacency matrix; a list of pairs, or an array of edges.
        undirected: whether an edge stands for both directions; a `Source` says so itself.

    Raises UserError for anything else.
    """
    if hasattr(given, "edge_batches"):
        return given
    if hasattr(given, "ndata") and hasattr(given, "edata"):
        return from_dgl(given, undirected=undirected)
    if is_sparse(given):
        return from_scipy(given, undirected=undirected)
    if _is_pyg(given) or (is_several(given) and len(given) and _is_pyg(given[0])):
        return from_pyg(given, undirected=undirected)
    if isinstance(given, list | tuple | np.ndarray) or hasattr(given, "detach"):
        return from_edges(given, undirected=undirected)
    raise UserError(
        f"a {type(given).__name__} is no source; valid: a string such as synthetic:nodes=1000, a "
        "RawGraph or EdgeStream, a DGLGraph or PyG Data (from_dgl(graph), from_pyg(data)), a "
        "sparse adjacency matrix, a list of pairs (for NetworkX list(graph.edges())), or a Source"
    )


def _is_pyg(given: Any) -> bool:
    return any(hasattr(given, name) for name in ("edge_index", "adj_t", "edge_types"))
