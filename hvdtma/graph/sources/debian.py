"""The package archive of this machine as a graph: `debian:`.

A node is a package. An edge of one of five types is a relation to another package, see
`hvdtma.tables.debian.edges_of`; it stands for both directions. Features are the counts of words in
the description and of debtags. The label is the section.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hvdtma.graph.raw import RawGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import encode
from hvdtma.tables.debian import (
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
    """The graph of `apt-cache dumpavail`; raises UserError as `read_archive` does."""
    text = read_archive()
    packages, repeated = parse_packages(text)
    graph = graph_of_packages(packages)
    graph.counts["packages_repeated"] = repeated
    graph.origin["dump_sha256"] = hashlib.sha256(text).hexdigest()
    return graph


def graph_of_packages(packages: list[Package], min_packages: int = MIN_PACKAGES) -> RawGraph:
    """The graph of packages with distinct names."""
    src, dst, edge_type, unresolved = edges_of(packages)
    label, label_names = _labels([section_of(package) for package in packages])
    counts = [word_counts(packages, min_packages), tag_counts(packages, min_packages)]
    common = [found for found in counts if found is not None]
    matrices = [found.matrix for found in common]
    return RawGraph(
        src=src,
        dst=dst,
        node_id=NodeIds.of([package["Package"] for package in packages]),
        undirected=True,
        edge_type=edge_type,
        edge_type_names=list(RELATIONS),
        feat=sp.csr_matrix(sp.hstack(matrices, format="csr")) if common else None,
        feature_names=[word for found in common for word in found.words] if common else None,
        label=label,
        label_names=label_names,
        counts={
            "relations_unresolved": unresolved,
            "nodes_without_label": int((label < 0).sum()),
        },
        origin={"kind": "debian"},
    )


def _labels(sections: list[str | None]) -> tuple[np.ndarray, list[str]]:
    known = np.array([section is not None for section in sections], bool)
    names, (code,) = encode([pa.array([s for s in sections if s is not None], pa.string())])
    label_N = np.full(len(sections), -1, np.int64)
    label_N[known] = code
    return label_N, names
