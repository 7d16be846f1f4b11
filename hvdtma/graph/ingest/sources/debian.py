"""The package archive of the machine it runs on, as a graph: `debian:`.

A node is a package name; an edge is one package naming another in Pre-Depends, Depends,
Recommends, Suggests or Enhances (the edge's type). Of alternatives `a | b` every one gets an edge.
A name that is no package but provided by some (a virtual package) gets an edge to each provider,
to the first five in the archive's order. What nobody has or provides is counted as unresolved.
An edge stands for both directions.

Features are how often each word is in the description, beside the package's debtags; the label is
the section without its area (`contrib/net` is `net`).

Legend: N packages, E edges, D words and tags.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from debian.deb822 import Deb822, PkgRelation

from hvdtma.core.errors import UserError
from hvdtma.graph.raw import RawGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import encode

RELATIONS = ("Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances")  # strongest first
FIELDS = ["Package", "Maintainer", "Section", "Description", "Tag", "Provides", *RELATIONS]
MAX_PROVIDERS = 5
MIN_PACKAGES = 5  # a word or tag in fewer packages is no feature

Package = dict[str, str]


def load_debian() -> RawGraph:
    """The graph of `apt-cache dumpavail`; raises as `read_archive` does."""
    text = read_archive()
    packages, repeated = parse_packages(text)
    raw = graph_of_packages(packages)
    raw.counts["packages_repeated"] = repeated
    raw.source["dump_sha256"] = hashlib.sha256(text).hexdigest()
    return raw


def read_archive() -> bytes:
    """What `apt-cache dumpavail` says.

    Raises UserError where apt-cache is missing, fails, or knows no packages.
    """
    try:
        done = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True)
    except FileNotFoundError:
        raise UserError(
            "'debian:' needs apt-cache, which this machine lacks; run on Debian or Ubuntu, or give "
            "another source"
        ) from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"apt-cache dumpavail failed: {error.stderr.decode()[:200]}") from None
    if not done.stdout.strip():
        raise UserError("apt-cache knows no packages; run `apt-get update` first")
    return done.stdout


def parse_packages(text: bytes) -> tuple[list[Package], int]:
    """Packages of an archive's index in its order, and how many repeats of a name were dropped."""
    paragraphs = Deb822.iter_paragraphs(io.BytesIO(text), fields=FIELDS, use_apt_pkg=False)
    packages: dict[str, Package] = {}
    repeated = 0
    for paragraph in paragraphs:
        name = paragraph.get("Package")
        repeated += name in packages
        if name and name not in packages:
            packages[name] = dict(paragraph)
    return list(packages.values()), repeated


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


def edges_of(packages: list[Package]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """src, dst int64 [E], edge_type int16 [E], and how many named packages do not exist."""
    position = {package["Package"]: number for number, package in enumerate(packages)}
    providers: dict[str, list[int]] = defaultdict(list)
    for number, package in enumerate(packages):
        for name in _names(package.get("Provides")):
            providers[name].append(number)
    edges: list[tuple[int, int, int]] = []
    unresolved = 0
    for number, package in enumerate(packages):
        for kind, relation in enumerate(RELATIONS):
            for name in _names(package.get(relation)):
                real = position.get(name)
                targets = providers.get(name, [])[:MAX_PROVIDERS] if real is None else [real]
                unresolved += not targets
                edges += [(number, target, kind) for target in targets]
    src, dst, edge_type = np.array(edges, np.int64).reshape(-1, 3).T.copy()
    return src, dst, edge_type.astype(np.int16), unresolved


def _names(relations: str | None) -> list[str]:
    """Every package named, each once: `a (>= 1), b | c, a (<< 3)` is a, b, c."""
    if not relations:
        return []
    groups = PkgRelation.parse_relations(relations)
    return list(dict.fromkeys(alternative["name"] for group in groups for alternative in group))


def _labels(sections: list[str | None]) -> tuple[np.ndarray, list[str]]:
    known = np.array([section is not None for section in sections], bool)
    names, (code,) = encode([pa.array([s for s in sections if s is not None], pa.string())])
    label_N = np.full(len(sections), -1, np.int64)
    label_N[known] = code
    return label_N, names


def section_of(package: Package) -> str | None:
    """The section without its area: `contrib/net` is `net`."""
    return package["Section"].split("/")[-1] if package.get("Section") else None


def _features(packages: list[Package], min_packages: int) -> sp.csr_matrix | None:
    """Counts of words and tags, float32 [N, D]; None where none is common enough."""
    parts = [word_counts(packages, min_packages), _tag_counts(packages, min_packages)]
    some = [part for part in parts if part is not None]
    return sp.csr_matrix(sp.hstack(some, format="csr")) if some else None


def word_counts(packages: list[Package], min_packages: int = MIN_PACKAGES) -> sp.csr_matrix | None:
    """Counts of words of the descriptions, float32 [N, D]; None where none is common enough."""
    texts = [package.get("Description", "") for package in packages]
    return _counts(texts, min_packages, stop_words="english")


def _tag_counts(packages: list[Package], min_packages: int) -> sp.csr_matrix | None:
    return _counts([p.get("Tag", "") for p in packages], min_packages, analyzer=tags_of)


def _counts(texts: list[str], min_packages: int, **how: Any) -> sp.csr_matrix | None:
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        vectorizer = CountVectorizer(min_df=min_packages, dtype=np.float32, **how)
        return vectorizer.fit_transform(texts)
    except ValueError:  # its way to say that nothing is common enough
        return None


def tags_of(field: str) -> list[str]:
    """The debtags in a package's Tag field."""
    return [tag for tag in field.replace("\n", " ").replace(",", " ").split() if "::" in tag]
