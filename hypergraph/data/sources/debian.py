"""The package archive of this machine as a hypergraph: `debian:`.

Modalities: package (with dependencies as its graph and words of the description as features),
maintainer, section (without its area) and tag (debtags). The last three have graphs of neighbours
by hyperedges. Relations come in two forms:

    star    maintained (package, maintainer, section), tagged (package, tag)
    joint   tagged (package, maintainer, section, tag), one hyperedge for each tag of a package;
            untagged (package, maintainer, section), for the packages without tags

In the joint form, all hyperedges of a package have the same maintainer and section: one in training
gives away another one that is held out. `split_relation(..., together="package")`, or
`data.together: package` in a config, holds out all or none of them. Packages without a maintainer
or section are in no such hyperedge.

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
    """The hypergraph of `apt-cache dumpavail`; see `hypergraph_of_packages` for the arguments.

    Raises UserError if apt-cache is missing, fails, or knows no packages.
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
        neighbours: neighbours per maintainer, section and tag; 0: no such graphs.
        min_packages: words in fewer packages are no features.

    Raises UserError if no package has a tag, a maintainer or a section.
    """
    _check(relations)
    src, dst, _, _ = edges_of(packages)
    words = word_counts(packages, min_packages)
    package = Modality(
        "package",
        len(packages),
        np.array([p["Package"] for p in packages]),
        None if words is None else sp.csr_array(words.matrix),
        Intra.of(np.stack([src, dst], 1)),
    )
    position: dict[str, dict[str, int]] = {"maintainer": {}, "section": {}, "tag": {}}
    links = _star(packages) if relations == "star" else _joint(packages)
    made = [_relation(name, columns, rows, position) for name, columns, rows in links if rows]
    for name, ids in position.items():
        if not ids:
            raise UserError(
                f"none of the {len(packages):,} packages has a {name}; is this a Debian archive?"
            )
    others = [Modality(name, len(ids), np.array(list(ids))) for name, ids in position.items()]
    graph = MultimodalHypergraph.of([package, *others], made)
    for name in position if neighbours else ():
        graph = graph.with_intra(name, GraphRecipe("hyperedges", neighbours))
    return graph


Links: TypeAlias = Iterator[tuple[str, tuple[str, ...], list[tuple]]]
"""Relations: name, modalities, and rows (position of the package, id, id, ...)."""


def _star(packages: list[Package]) -> Links:
    maintained = [(at, *pair) for at, pair in enumerate(map(_owners, packages)) if all(pair)]
    yield "maintained", ("package", "maintainer", "section"), maintained
    tags = [(at, tag) for at, p in enumerate(packages) for tag in tags_of(p.get("Tag", ""))]
    yield "tagged", ("package", "tag"), tags


def _joint(packages: list[Package]) -> Links:
    tagged: list[tuple] = []
    untagged: list[tuple] = []
    for at, package in enumerate(packages):
        pair, tags = _owners(package), tags_of(package.get("Tag", ""))
        if all(pair):
            tagged += [(at, *pair, tag) for tag in tags]
            untagged += [] if tags else [(at, *pair)]
    yield "tagged", ("package", "maintainer", "section", "tag"), tagged
    yield "untagged", ("package", "maintainer", "section"), untagged


def _relation(
    name: str, columns: tuple[str, ...], rows: list[tuple], position: dict[str, dict[str, int]]
) -> Relation:
    """The relation of some rows; ids that are new are added to `position`."""
    package, *named = zip(*rows, strict=True)
    positions = [
        [position[modality].setdefault(item, len(position[modality])) for item in items]
        for modality, items in zip(columns[1:], named, strict=True)
    ]
    return Relation(name, columns, np.array([package, *positions]).T)


def _owners(package: Package) -> tuple[str | None, str | None]:
    return package.get("Maintainer"), section_of(package)


def _check(relations: str) -> None:
    if relations not in RELATIONS:
        raise UserError(f"relations is '{relations}'; {nearest(relations, RELATIONS)}")
