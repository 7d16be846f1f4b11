"""Hypergraphs of well-known data: a Debian archive, the Tate collection."""

from hypergraph.data.sources.debian import from_debian
from hypergraph.data.sources.tate import from_tate

__all__ = ["from_debian", "from_tate"]
