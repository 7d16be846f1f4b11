"""The package index of a Debian archive: packages, their dependencies, words and tags.

The graph source `debian` and `hypergraph.from_debian` read the same index.

Legend: N packages, E edges, D words or tags.
"""

from __future__ import annotations

import io
import subprocess
from collections import defaultdict
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from debian.deb822 import Deb822, PkgRelation

from hvdtma.core.errors import UserError

RELATIONS = ("Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances")  # strongest first
FIELDS = ["Package", "Maintainer", "Section", "Description", "Tag", "Provides", *RELATIONS]
MAX_PROVIDERS = 5
MIN_PACKAGES = 5  # a word or tag in fewer packages is no feature

Package: TypeAlias = dict[str, str]
"""The control fields of a package."""


def read_archive() -> bytes:
    """The output of `apt-cache dumpavail`.

    Raises UserError if apt-cache is missing, fails, or knows no packages.
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
    """The packages of an index in its order, and the number of repeats that were dropped."""
    paragraphs = Deb822.iter_paragraphs(io.BytesIO(text), fields=FIELDS, use_apt_pkg=False)
    packages: dict[str, Package] = {}
    repeated = 0
    for paragraph in paragraphs:
        name = paragraph.get("Package")
        repeated += name in packages
        if name and name not in packages:
            packages[name] = dict(paragraph)
    return list(packages.values()), repeated


def edges_of(packages: list[Package]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Dependencies between packages.

    A package has an edge to each package that it names in one of the `RELATIONS`. A virtual
    package stands for its first `MAX_PROVIDERS` providers.

    Returns: src, dst int64 [E], edge_type int16 [E], and how many of the named packages neither
    exist nor are provided.
    """
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


def section_of(package: Package) -> str | None:
    """The section without its area: `contrib/net` is `net`."""
    return package["Section"].split("/")[-1] if package.get("Section") else None


def tags_of(field: str) -> list[str]:
    """The debtags in a package's Tag field."""
    return [tag for tag in field.replace("\n", " ").replace(",", " ").split() if "::" in tag]


def word_counts(packages: list[Package], min_packages: int = MIN_PACKAGES) -> sp.csr_matrix | None:
    """Counts of the words of descriptions, float32 [N, D]; None if no word is common enough."""
    texts = [package.get("Description", "") for package in packages]
    return _counts(texts, min_packages, stop_words="english")


def tag_counts(packages: list[Package], min_packages: int = MIN_PACKAGES) -> sp.csr_matrix | None:
    """Counts of debtags, float32 [N, D]; None if no tag is common enough."""
    return _counts([p.get("Tag", "") for p in packages], min_packages, analyzer=tags_of)


def _counts(texts: list[str], min_packages: int, **how: Any) -> sp.csr_matrix | None:
    from sklearn.feature_extraction.text import CountVectorizer  # takes seconds to import

    try:
        vectorizer = CountVectorizer(min_df=min_packages, dtype=np.float32, **how)
        return vectorizer.fit_transform(texts)
    except ValueError:  # scikit-learn's error if no word is common enough
        return None
