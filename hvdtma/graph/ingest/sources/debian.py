"""The package archive of this machine as a graph: `debian:`.

A node is a package name. An edge is one package naming another in Pre-Depends, Depends,
Recommends, Suggests or Enhances (the edge's type). Of alternatives `a | b` every one gets an edge.
A name that is no package but is provided by some (a virtual package) gets an edge to each of its
first five providers in the archive's order. Names that no package has or provides are counted as
unresolved. An edge stands for both directions.

Features are the counts of the description's words, and the package's debtags; the label is the
section without its area (`contrib/net` is `net`).

Legend: N packages, D words and tags.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hvdtma.graph.raw import RawGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import encode
from hvdtma.tables.debian_packages import (
    MIN_PACKAGES,
    RELATIONS,
    Package,
    edges_of,
    parse_packages,
    read_archive,
    section_of,
    tag_counts,
    word_counts,
)


def load_debian() -> RawGraph:
    """The graph of `apt-cache dumpavail`; raises as `read_archive` does."""
    text = read_archive()
    packages, repeated = parse_packages(text)
    raw = graph_of_packages(packages)
    raw.counts["packages_repeated"] = repeated
    raw.source["dump_sha256"] = hashlib.sha256(text).hexdigest()
    return raw


def graph_of_packages(packages: Iterable[Package], min_packages: int = MIN_PACKAGES) -> RawGraph:
    """The graph of packages with distinct names, each a mapping of control fields."""
    packages = list(packages)
    src, dst, edge_type, unresolved = edges_of(packages)
    sections = [section_of(package) for package in packages]
    label, label_names = _labels(sections)
    return RawGraph(
        src=src,
        dst=dst,
        node_id=NodeIds.of([p["Package"] for p in packages]),
        undirected=True,
        edge_type=edge_type,
        edge_type_names=list(RELATIONS),
        feat=_features(packages, min_packages),
        label=label,
        label_names=label_names,
        counts={"relations_unresolved": unresolved, "nodes_without_label": sections.count(None)},
        source={"kind": "debian"},
    )


def _labels(sections: list[str | None]) -> tuple[np.ndarray, list[str]]:
    known = np.array([section is not None for section in sections], bool)
    names, (code,) = encode([pa.array([s for s in sections if s is not None], pa.string())])
    label_N = np.full(len(sections), -1, np.int64)
    label_N[known] = code
    return label_N, names


def _features(packages: list[Package], min_packages: int) -> sp.csr_matrix | None:
    """Counts of words and tags, float32 [N, D]; None if none of them is common enough."""
    parts = [word_counts(packages, min_packages), tag_counts(packages, min_packages)]
    some = [part for part in parts if part is not None]
    return sp.csr_matrix(sp.hstack(some, format="csr")) if some else None
