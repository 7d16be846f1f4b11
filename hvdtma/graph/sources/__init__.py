"""Data sources by name, and graphs of other frameworks."""

from hvdtma.graph.sources.frameworks import from_dgl, from_pyg
from hvdtma.graph.sources.load import load_source
from hvdtma.graph.sources.synthetic import SyntheticGraph

__all__ = ["SyntheticGraph", "from_dgl", "from_pyg", "load_source"]
