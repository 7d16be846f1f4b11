"""Packages, maintainers, sections and tags become one hypergraph in either form."""

import shutil
import subprocess

import pytest

from hvdtma.core.errors import UserError
from hvdtma.tables.debian import parse_packages
from hypergraph import MultimodalHypergraph, from_debian
from hypergraph.data.sources.debian import hypergraph_of_packages

ARCHIVE = """\
Package: editor
Maintainer: Ann <ann@example.org>
Section: contrib/text
Depends: libc
Description: edit text files
Tag: role::program, works-with::text,
 interface::x11

Package: libc
Maintainer: Bob <bob@example.org>
Section: libs
Depends: editor
Description: library of the editor

Package: mutt
Maintainer: Ann <ann@example.org>
Section: mail
Recommends: libc
Tag: role::program
Description: read mail as text

Package: orphan
Section: mail
Tag: role::data
"""


def build(**options) -> MultimodalHypergraph:
    return hypergraph_of_packages(parse_packages(ARCHIVE.encode())[0], min_packages=2, **options)


def links(graph: MultimodalHypergraph, name: str) -> list[tuple]:
    relation = graph.relation(name)
    return [
        tuple(graph.modality(m).id_of(at) for m, at in zip(relation.modalities, row, strict=True))
        for row in relation.indices
    ]


ANN, BOB = "Ann <ann@example.org>", "Bob <bob@example.org>"


def test_the_star_has_a_relation_for_who_keeps_it_and_one_for_its_tags():
    graph = build()
    assert links(graph, "maintained") == [
        ("editor", ANN, "text"),
        ("libc", BOB, "libs"),
        ("mutt", ANN, "mail"),
    ]
    assert links(graph, "tagged") == [
        ("editor", "role::program"),
        ("editor", "works-with::text"),
        ("editor", "interface::x11"),
        ("mutt", "role::program"),
        ("orphan", "role::data"),
    ]


def test_joint_has_a_hyperedge_for_each_tag_and_one_for_packages_without():
    graph = build(relations="joint")
    assert links(graph, "tagged") == [
        ("editor", ANN, "text", "role::program"),
        ("editor", ANN, "text", "works-with::text"),
        ("editor", ANN, "text", "interface::x11"),
        ("mutt", ANN, "mail", "role::program"),
    ]
    assert links(graph, "untagged") == [("libc", BOB, "libs")]


def test_dependencies_join_packages_and_shared_hyperedges_the_rest():
    graph = build()
    package = graph.modality("package")
    assert package.intra.edges.tolist() == [[0, 1], [1, 2]]  # both ways are one
    assert package.intra.recipe is None
    maintainer, section = graph.modality("maintainer").intra, graph.modality("section").intra
    assert maintainer.recipe.kind == section.recipe.kind == "hyperedges"
    assert [0, 2] in section.edges.tolist()  # Ann keeps packages in both
    assert build(neighbours=0).modality("section").intra is None


def test_features_are_words_and_never_tags():
    features = build().modality("package").features
    assert features.toarray().tolist() == [[1], [0], [1], [0]]  # how often text is there


def test_what_is_wrong_is_said():
    with pytest.raises(UserError, match=r"relations is 'stat'.*did you mean 'star'"):
        from_debian(relations="stat")
    with pytest.raises(UserError, match="none of the 1 packages has a maintainer"):
        hypergraph_of_packages([{"Package": "a", "Tag": "a::b"}])


def test_the_archive_of_this_machine_is_a_hypergraph():
    if shutil.which("apt-cache") is None:
        pytest.skip("apt-cache is not here")
    names = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, check=True).stdout
    if names.count(b"\n") < 10_000:
        pytest.skip("apt-cache knows few packages here; apt-get update was not run")
    graph = from_debian(relations="joint")
    assert graph.modality("package").num_items > 10_000
    assert graph.relation("tagged").arity == 4
    assert graph.relation("tagged").num_hyperedges > 10_000
    assert 20 < graph.modality("section").num_items < 200
    for name in ("package", "maintainer", "section", "tag"):
        assert graph.modality(name).intra.num_edges > 100
