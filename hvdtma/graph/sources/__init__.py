"""Data sources by name, and graphs of other libraries."""

from hvdtma.graph.sources.edge_lists import from_edges, from_scipy
from hvdtma.graph.sources.frameworks import from_dgl, from_pyg
from hvdtma.graph.sources.from_any import graph_from
from hvdtma.graph.sources.load import load_source
from hvdtma.graph.sources.synthetic import SyntheticGraph

__all__ = [
    "SyntheticGraph",
    "from_dgl",
    "from_edges",
    "from_pyg",
    "from_scipy",
    "graph_from",
    "load_source",
]
