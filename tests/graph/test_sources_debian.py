"""Packages become nodes and relations typed edges; what the archive does not have is counted."""

import shutil
import subprocess

import numpy as np
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sources import load_source
from hvdtma.graph.sources.debian import graph_of_packages
from hvdtma.tables.debian import MAX_PROVIDERS, parse_packages

ARCHIVE = """\
Package: editor
Section: contrib/text
Pre-Depends: libc
Depends: libc (>= 2.3), spell | dictionary:any [amd64], missing
Suggests: mail-reader
Description: edit text files
 A long text about editing.
Tag: role::program, works-with::text,
 interface::x11

Package: libc
Section: libs
Enhances: editor
Description: library of the editor

Package: spell
Section: text
Version: 1
Provides: dictionary (= 1), checker

Package: spell
Section: other
Version: 2

Package: mutt
Provides: mail-reader
Recommends: spell (<< 3), spell (>= 1)
Tag: role::program
Description: read mail as text
"""


def build(text: str, **options) -> RawGraph:
    return graph_of_packages(parse_packages(text.encode())[0], **options)


def edges(raw: RawGraph) -> list[tuple[str, str, str]]:
    return [
        (raw.node_id[s], raw.edge_type_names[t], raw.node_id[d])
        for s, d, t in zip(raw.src, raw.dst, raw.edge_type, strict=True)
    ]


def test_relations_are_typed_edges_and_virtual_packages_stand_for_their_providers():
    raw = build(ARCHIVE)
    assert raw.undirected
    assert raw.node_id.to_list() == ["editor", "libc", "spell", "mutt"]
    assert edges(raw) == [
        ("editor", "Pre-Depends", "libc"),
        ("editor", "Depends", "libc"),
        ("editor", "Depends", "spell"),
        ("editor", "Depends", "spell"),  # by way of dictionary
        ("editor", "Suggests", "mutt"),
        ("libc", "Enhances", "editor"),
        ("mutt", "Recommends", "spell"),
    ]
    assert raw.counts["relations_unresolved"] == 1


def test_the_first_of_several_versions_is_kept_and_the_rest_counted():
    packages, repeated = parse_packages(ARCHIVE.encode())
    assert repeated == 1
    assert [p["Section"] for p in packages if p["Package"] == "spell"] == ["text"]


def test_types_are_listed_strongest_first():
    assert build(ARCHIVE).edge_type_names == [
        "Pre-Depends",
        "Depends",
        "Recommends",
        "Suggests",
        "Enhances",
    ]


def test_labels_are_sections_without_their_area():
    raw = build(ARCHIVE)
    names = [raw.label_names[code] if code >= 0 else None for code in raw.label]
    assert names == ["text", "libs", "text", None]
    assert raw.counts["nodes_without_label"] == 1


def test_features_count_words_and_tags():
    raw = build(ARCHIVE, min_packages=1)
    assert raw.feat.dtype == np.float32
    common = build(ARCHIVE, min_packages=2)  # words: text, editor no; tags: role::program
    by_package = dict(zip(common.node_id.to_list(), common.feat.toarray().tolist(), strict=True))
    assert by_package == {"editor": [2, 1], "libc": [0, 0], "spell": [0, 0], "mutt": [1, 1]}


def test_an_archive_without_common_words_has_no_features():
    assert build(ARCHIVE, min_packages=10).feat is None


def test_a_virtual_package_stands_for_a_few_providers_only():
    text = "Package: user\nDepends: thing\n\n" + "".join(
        f"Package: p{i}\nProvides: thing\n\n" for i in range(MAX_PROVIDERS + 3)
    )
    assert [d for _, _, d in edges(build(text))] == [f"p{i}" for i in range(MAX_PROVIDERS)]


def test_a_real_package_is_not_replaced_by_its_providers():
    text = "Package: a\nDepends: b\n\nPackage: b\n\nPackage: c\nProvides: b\n"
    assert edges(build(text)) == [("a", "Depends", "b")]


def test_packages_without_relations_are_nodes():
    raw = build("Package: alone\n\nPackage: other\n")
    assert raw.num_nodes == 2
    assert len(raw.src) == 0


def test_without_apt_cache_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs apt-cache"):
        load_source("debian:", seed=0)


@pytest.mark.parametrize(
    ("script", "words"), [("exit 0", "apt-get update"), ("echo no >&2; exit 100", "failed: no")]
)
def test_an_empty_or_failing_apt_cache_says_what_to_do(monkeypatch, tmp_path, script, words):
    (tmp_path / "apt-cache").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "apt-cache").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=words):
        load_source("debian:", seed=0)


def test_the_archive_of_this_machine_is_a_graph():
    if shutil.which("apt-cache") is None:
        pytest.skip("apt-cache is not here")
    names = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, check=True).stdout
    if names.count(b"\n") < 10_000:
        pytest.skip("apt-cache knows few packages here; apt-get update was not run")
    raw = load_source("debian:", seed=0)
    assert raw.num_nodes > 10_000
    assert len(raw.src) > raw.num_nodes
    assert raw.feat.shape[0] == raw.num_nodes
    assert 20 < len(raw.label_names) < 200
    assert raw.counts["relations_unresolved"] < len(raw.src) / 10
    libc, depends = raw.node_id.lookup(["libc6"])[0], raw.edge_type_names.index("Depends")
    assert (raw.edge_type[raw.dst == libc] == depends).mean() > 0.9
