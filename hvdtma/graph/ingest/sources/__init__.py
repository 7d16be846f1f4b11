"""Where a graph comes from: files, a named source, or another framework's graph in Python.

Each gives a `Source`, which `hvdtma.graph.builder` turns into a store.
"""

from __future__ import annotations

from hvdtma.core.errors import UserError, nearest
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.ingest.sources.frameworks import from_dgl, from_pyg
from hvdtma.graph.ingest.sources.synthetic import SyntheticGraph
from hvdtma.graph.raw import Source

__all__ = ["FileSource", "SyntheticGraph", "from_dgl", "from_pyg", "load_source"]

SCHEMES = ("debian", "synthetic", "ogb")


def load_source(spec: str, *, seed: int) -> Source:
    """The graph that `debian:`, `synthetic:key=value,...` or `ogb:NAME` stands for.

    `seed` is for synthetic graphs. Raises UserError for an unknown source, key or name, and where
    the source cannot be had.
    """
    scheme, colon, rest = spec.partition(":")
    if scheme not in SCHEMES or not colon:
        valid = nearest(scheme, list(SCHEMES))
        raise UserError(
            f"unknown source '{spec}': before the colon {valid}; for files say --edges FILE"
        )
    if scheme == "synthetic":
        return SyntheticGraph.parse(rest, seed)
    if scheme == "ogb":
        from hvdtma.graph.ingest.sources.ogb import load_ogb

        return load_ogb(rest)
    if rest:
        raise UserError(f"'debian:' takes no settings; '{rest}' came after it")
    from hvdtma.graph.ingest.sources.debian import load_debian

    return load_debian()
