"""The package archive of the machine it runs on, as a hypergraph: `debian:`.

Modalities: package (dependencies are its intra graph, words of the description its features),
maintainer, section (without its area), and tag (debtags). The last three have neighbours by shared
hyperedges. Relations come in two forms:

    star    maintained (package, maintainer, section), tagged (package, tag)
    joint   tagged (package, maintainer, section, tag), one hyperedge for each tag of a package;
            untagged (package, maintainer, section), for the packages that have none

In the joint form, the hyperedges of a package tell each other's maintainer and section; hold them
out with `split_relation(..., together="package")`, or `data.together: package` in a config, where
that would be too easy. Packages without a maintainer or section are items in no such hyperedge.

Legend: N packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.debian import (
    MIN_PACKAGES,
    Package,
    edges_of,
    parse_packages,
    read_archive,
    section_of,
    tags_of,
    word_counts,
)
from hypergraph.data.hypergraph import MultimodalHypergraph
from hypergraph.data.intra import GraphRecipe, Intra
from hypergraph.data.modality import Modality
from hypergraph.data.relation import Relation

RELATIONS = ["star", "joint"]


def from_debian(
    *, relations: str = "star", neighbours: int = 10, min_packages: int = MIN_PACKAGES
) -> MultimodalHypergraph:
    """The hypergraph of `apt-cache dumpavail`; see `hypergraph_of_packages`.

    Raises UserError where apt-cache is missing, fails, or knows no packages.
    """
    _check(relations)
    packages, _ = parse_packages(read_archive())
    return hypergraph_of_packages(
        packages, relations=relations, neighbours=neighbours, min_packages=min_packages
    )


def hypergraph_of_packages(
    packages: list[Package],
    *,
    relations: str = "star",
    neighbours: int = 10,
    min_packages: int = MIN_PACKAGES,
) -> MultimodalHypergraph:
    """The hypergraph of packages with distinct names.

    Args:
        relations: `star` or `joint`.
        neighbours: that a maintainer, section or tag looks for; 0: no such graphs.
        min_packages: a word in fewer packages is no feature.

    Raises UserError where the packages have no tags, or neither maintainer nor section.
    """
    _check(relations)
    src, dst, _, _ = edges_of(packages)
    words = word_counts(packages, min_packages)
    package = Modality(
        "package",
        len(packages),
        np.array([p["Package"] for p in packages]),
        None if words is None else sp.csr_array(words),
        Intra.of(np.stack([src, dst], 1)),
    )
    known: dict[str, dict[str, int]] = {"maintainer": {}, "section": {}, "tag": {}}
    links = _star(packages) if relations == "star" else _joint(packages)
    made = [_relation(name, columns, rows, known) for name, columns, rows in links if rows]
    for name, ids in known.items():
        if not ids:
            raise UserError(f"none of the {len(packages):,} packages has a {name}; is it Debian's?")
    others = [Modality(name, len(ids), np.array(list(ids))) for name, ids in known.items()]
    graph = MultimodalHypergraph.of([package, *others], made)
    for name in known if neighbours else ():
        graph = graph.with_intra(name, GraphRecipe("hyperedges", neighbours))
    return graph


Links: TypeAlias = Iterator[tuple[str, tuple[str, ...], list[tuple]]]


def _star(packages: list[Package]) -> Links:
    whole = [(at, *kept) for at, kept in enumerate(map(_keepers, packages)) if all(kept)]
    yield "maintained", ("package", "maintainer", "section"), whole
    tags = [(at, tag) for at, p in enumerate(packages) for tag in tags_of(p.get("Tag", ""))]
    yield "tagged", ("package", "tag"), tags


def _joint(packages: list[Package]) -> Links:
    tagged: list[tuple] = []
    untagged: list[tuple] = []
    for at, package in enumerate(packages):
        kept, tags = _keepers(package), tags_of(package.get("Tag", ""))
        if all(kept):
            tagged += [(at, *kept, tag) for tag in tags]
            untagged += [] if tags else [(at, *kept)]
    yield "tagged", ("package", "maintainer", "section", "tag"), tagged
    yield "untagged", ("package", "maintainer", "section"), untagged


def _relation(
    name: str, columns: tuple[str, ...], rows: list[tuple], known: dict[str, dict[str, int]]
) -> Relation:
    """The relation of rows (package's position, id, id, ...); new ids are added to those known."""
    package, *named = zip(*rows, strict=True)
    positions = [
        [known[modality].setdefault(item, len(known[modality])) for item in items]
        for modality, items in zip(columns[1:], named, strict=True)
    ]
    return Relation(name, columns, np.array([package, *positions]).T)


def _keepers(package: Package) -> tuple[str | None, str | None]:
    return package.get("Maintainer"), section_of(package)


def _check(relations: str) -> None:
    if relations not in RELATIONS:
        raise UserError(f"relations is '{relations}'; {nearest(relations, RELATIONS)}")
