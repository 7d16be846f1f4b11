"""The package archive of a Debian machine as a table: packages, their relations, words and tags.

Legend: N packages, E relations, W words or tags.
"""

from __future__ import annotations

import io
import subprocess
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from debian.deb822 import Deb822, PkgRelation

from hvdtma.core.errors import UserError

RELATIONS = ("Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances")  # strongest first
FIELDS = ["Package", "Maintainer", "Section", "Description", "Tag", "Provides", *RELATIONS]
MAX_PROVIDERS = 5
MIN_PACKAGES = 5  # words and tags of fewer packages are left out

Package = dict[str, str]


def read_archive() -> bytes:
    """The output of `apt-cache dumpavail`.

    Raises UserError if apt-cache is missing, fails, or knows no packages.
    """
    try:
        done = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True)
    except FileNotFoundError:
        raise UserError(
            "'debian:' needs apt-cache, which this machine lacks; run on Debian or Ubuntu, or use "
            "another source"
        ) from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"apt-cache dumpavail failed: {error.stderr.decode()[:200]}") from None
    if not done.stdout.strip():
        raise UserError("apt-cache knows no packages; run `apt-get update` first")
    return done.stdout


def parse_packages(text: bytes) -> tuple[list[Package], int]:
    """The packages in the archive's order, and the number of repeated names left out."""
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
    """src, dst int64 [E], type int16 [E], and the number of names that are not in the archive.

    Each of several alternatives `a | b` gets an edge. A virtual package, which only exists as
    provided by others, stands for its first `MAX_PROVIDERS` providers in the archive's order.
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
    """The distinct names in a field: `a (>= 1), b | c, a (<< 3)` has a, b, c."""
    if not relations:
        return []
    groups = PkgRelation.parse_relations(relations)
    return list(dict.fromkeys(alternative["name"] for group in groups for alternative in group))


def section_of(package: Package) -> str | None:
    """The section without its area: `contrib/net` is `net`."""
    return package["Section"].split("/")[-1] if package.get("Section") else None


def tags_of(field: str) -> list[str]:
    """The debtags in a Tag field."""
    return [tag for tag in field.replace("\n", " ").replace(",", " ").split() if "::" in tag]


class Counts(NamedTuple):
    """Counts of words or tags, float32 [N, W], and the W words."""

    matrix: sp.csr_matrix
    words: list[str]


def word_counts(packages: list[Package], min_packages: int = MIN_PACKAGES) -> Counts | None:
    """Counts of the words of the descriptions; None without a common word."""
    texts = [package.get("Description", "") for package in packages]
    return _counts(texts, min_packages, stop_words="english")


def tag_counts(packages: list[Package], min_packages: int = MIN_PACKAGES) -> Counts | None:
    """Counts of the debtags; None without a common tag."""
    return _counts([p.get("Tag", "") for p in packages], min_packages, analyzer=tags_of)


def _counts(texts: list[str], min_packages: int, **options: Any) -> Counts | None:
    from sklearn.feature_extraction.text import CountVectorizer  # slow to import

    try:
        vectorizer = CountVectorizer(min_df=min_packages, dtype=np.float32, **options)
        matrix = vectorizer.fit_transform(texts)
    except ValueError:  # raised if no word is common enough
        return None
    return Counts(matrix, vectorizer.get_feature_names_out().tolist())
