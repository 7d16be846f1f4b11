"""Graphs made up at any size: communities, degrees by a power law, features that follow both.

A degree-corrected stochastic block model (Karrer & Newman, Phys. Rev. E 83, 2011) with planted
communities of equal size on contiguous ids. Every edge and every node's features are a pure
function of the seed and of their number (SplitMix64 entered at any place of its sequence; Steele et
al., OOPSLA 2014), so that a graph of any size is made in any order, by any number of threads,
without being held in memory.

Legend: N nodes, E edges, C communities, D features, n nodes of a community.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.core.errors import UserError, nearest
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sort.pieces import EDGES_PER_PIECE, EdgePiece
from hvdtma.storage.node_ids import NodeIds

_RANK_OFFSET = 5.0  # tames the first few hubs of a community
_CENTRES, _NOISE, _EDGES = 0, 1, 2  # streams of random numbers
_KINDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": ({"true": True, "false": False}.__getitem__, "true or false"),
}


@dataclass(frozen=True)
class SyntheticGraph:
    """What to make; raises UserError for values that make no graph.

    Attributes:
        nodes, edges: how many. Edges are drawn with replacement and without self-loops: those
            that are drawn twice are merged by `build`.
        features: features per node.
        communities: equal in size, up to one node.
        mixing: share of edges that leave their community.
        exponent: degrees follow a power law with this exponent, above 2.
        noise: standard deviation of each feature around its community's centre, whose length is 1.
        directed: whether an edge goes one way only.
        seed: of everything.
    """

    nodes: int = 20_000
    edges: int = 200_000
    features: int = 64
    communities: int = 50
    mixing: float = 0.2
    exponent: float = 2.5
    noise: float = 0.5
    directed: bool = False
    seed: int = 0

    edge_type_names: ClassVar[list[str]] = []
    link_split: ClassVar[None] = None
    node_split: ClassVar[None] = None

    def __post_init__(self) -> None:
        possible = self.nodes * (self.nodes - 1) // 2
        for name, value, fits, valid in (
            ("nodes", self.nodes, self.nodes >= 2, "at least 2"),
            ("edges", self.edges, 1 <= self.edges <= possible, f"1 to {possible} for these nodes"),
            ("features", self.features, self.features >= 1, "at least 1"),
            (
                "communities",
                self.communities,
                1 <= self.communities <= self.nodes // 2,
                f"1 to {self.nodes // 2}, two nodes in each",
            ),
            ("mixing", self.mixing, 0 <= self.mixing <= 1, "0 to 1"),
            ("exponent", self.exponent, 2 < self.exponent < np.inf, "above 2"),
            ("noise", self.noise, 0 <= self.noise < np.inf, "0 or more"),
            ("seed", self.seed, 0 <= self.seed < 2**64, "0 to 2**64 - 1"),
        ):
            if not fits:
                raise UserError(f"synthetic: {name} is {value}; valid: {valid}")

    @classmethod
    def parse(cls, settings: str, seed: int) -> SyntheticGraph:
        """From `key=value,...`; raises UserError for unknown keys and for what is no number."""
        kinds = {f.name: _KINDS[str(f.type)] for f in fields(cls) if f.name != "seed"}
        values: dict[str, Any] = {}
        for setting in filter(None, settings.split(",")):
            key, _, text = (part.strip() for part in setting.partition("="))
            if key not in kinds:
                raise UserError(f"synthetic: unknown key '{key}'; {nearest(key, list(kinds))}")
            try:
                values[key] = kinds[key][0](text)
            except (ValueError, KeyError):
                raise UserError(
                    f"synthetic: {key} is '{text}'; it must be {kinds[key][1]}"
                ) from None
        return cls(**values, seed=seed)

    @property
    def undirected(self) -> bool:
        return not self.directed

    @property
    def num_nodes(self) -> int:
        return self.nodes

    @property
    def num_edges(self) -> int:
        return self.edges

    @property
    def node_id(self) -> NodeIds:
        return NodeIds.counted(self.nodes)

    @property
    def shape(self) -> tuple[int, int]:
        """[N, D] of the features."""
        return self.nodes, self.features

    @property
    def feat(self) -> SyntheticGraph:
        """The features, made as they are asked for."""
        return self

    @property
    def label(self) -> np.ndarray:
        """Every node's community, int64 [N]."""
        label: np.ndarray = np.empty(self.nodes, np.int64)
        for start in range(0, self.nodes, EDGES_PER_PIECE):
            stop = min(start + EDGES_PER_PIECE, self.nodes)
            label[start:stop] = self.labels_of(np.arange(start, stop))
        return label

    @property
    def label_names(self) -> list[str]:
        return [str(community) for community in range(self.communities)]

    @property
    def source(self) -> dict[str, object]:
        return {"kind": "synthetic"} | asdict(self)

    @property
    def counts(self) -> dict[str, int]:
        return {}

    @property
    def held_bytes(self) -> int:
        return 0

    def check(self) -> None:
        """There is nothing wrong with what makes itself."""

    def edge_pieces(self) -> Iterator[Callable[[], EdgePiece]]:
        """All edges, `EDGES_PER_PIECE` at a time."""
        for piece in range(-(-self.edges // EDGES_PER_PIECE)):
            yield partial(self.edge_piece, piece)

    def edge_piece(self, piece: int) -> EdgePiece:
        """One piece of the edges: src and dst, int64, and no types."""
        first = piece * EDGES_PER_PIECE
        num = min(EDGES_PER_PIECE, self.edges - first)
        power = 1 - 1 / (self.exponent - 1)
        smallest = self.nodes // self.communities
        limits = np.array([0.0, smallest, smallest + 1]) + _RANK_OFFSET
        src, dst = _edges(
            first,
            num,
            self._stream(_EDGES),
            self.nodes,
            self.communities,
            self.mixing,
            limits**power,
            1 / power,
        )
        return src, dst, None

    def take(self, nodes: np.ndarray) -> np.ndarray:
        """Features float32 [n, D] of any nodes, in their order."""
        stream, labels = self._stream(_NOISE), self.labels_of(nodes)
        return _features(nodes, labels, self._centres, self.noise, stream)

    def labels_of(self, nodes: np.ndarray) -> np.ndarray:
        """Communities int64 [n] of any nodes."""
        nodes = nodes.astype(np.int64)
        return (nodes * self.communities + self.communities - 1) // self.nodes

    def load(self) -> RawGraph:
        """The whole graph in memory."""
        pieces = [make() for make in self.edge_pieces()]
        src, dst, _ = zip(*pieces, strict=True)
        return RawGraph(
            src=np.concatenate(src),
            dst=np.concatenate(dst),
            node_id=self.node_id,
            undirected=self.undirected,
            feat=self.take(np.arange(self.nodes)),
            label=self.label,
            label_names=self.label_names,
            source=self.source,
        )

    def _stream(self, number: int) -> np.uint64:
        """Where a stream of random numbers begins."""
        return np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0]

    @cached_property
    def _centres(self) -> np.ndarray:
        rng = np.random.default_rng(self._stream(_CENTRES))
        centres = rng.standard_normal((self.communities, self.features), np.float32)
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)


@njit(nogil=True)
def _random(stream: np.uint64, counter: int) -> np.uint64:
    """The counter-th number of a stream: SplitMix64 at any place of its sequence."""
    x = stream + np.uint64(counter) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True)
def _uniform(stream: np.uint64, counter: int) -> float:
    """The counter-th number of a stream, in [0, 1)."""
    return (_random(stream, counter) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True)
def _member(
    community: int,
    uniform: float,
    nodes: int,
    communities: int,
    integrals: np.ndarray,
    exponent: float,
) -> int:
    """A node of a community, by the inverse of its distribution function.

    The j-th node of a community weighs (j + offset)^-a with a = 1 / (exponent - 1), which gives
    degrees their power law. The sum over j is taken for the integral, which is solved in closed
    form, so no table of weights is needed: `integrals` are x^(1-a) at no node, at the size of the
    smaller communities and at one more, `exponent` undoes them.
    """
    start = community * nodes // communities
    size = (community + 1) * nodes // communities - start
    low, high = integrals[0], integrals[1 + size - nodes // communities]
    rank = int((low + uniform * (high - low)) ** exponent - _RANK_OFFSET)
    if rank < 0:
        return start
    return start + rank if rank < size else start + size - 1


@njit(nogil=True)
def _edges(
    first: int,
    num: int,
    stream: np.uint64,
    nodes: int,
    communities: int,
    mixing: float,
    integrals: np.ndarray,
    exponent: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Edges first .. first + num, each from five numbers of its own."""
    src, dst = np.empty(num, np.int64), np.empty(num, np.int64)
    for edge in range(num):
        at = 5 * (first + edge)
        home = int(_uniform(stream, at) * communities)
        away = home
        if communities > 1 and _uniform(stream, at + 1) < mixing:
            step = int(_uniform(stream, at + 2) * (communities - 1)) + 1
            away = (home + step) % communities
        src_at, dst_at = _uniform(stream, at + 3), _uniform(stream, at + 4)
        src[edge] = _member(home, src_at, nodes, communities, integrals, exponent)
        dst[edge] = _member(away, dst_at, nodes, communities, integrals, exponent)
        if src[edge] == dst[edge]:
            after = src[edge] + 1
            ends = after == (home + 1) * nodes // communities
            dst[edge] = home * nodes // communities if ends else after
    return src, dst


@njit(nogil=True)
def _features(
    nodes: np.ndarray,
    labels: np.ndarray,
    centres_CD: np.ndarray,
    noise: float,
    stream: np.uint64,
) -> np.ndarray:
    """float32 [n, D]: every node's centre, and noise of four uniform numbers' sum.

    The four are the quarters of one random number; their sum has the mean and, scaled, the
    variance of a normal one, and ends at 3.5 standard deviations.
    """
    dim = centres_CD.shape[1]
    out_nD = np.empty((len(nodes), dim), np.float32)
    quarter, scale = np.uint64(0xFFFF), noise / (2.0**16 / np.sqrt(3.0))
    for row in range(len(nodes)):
        first = int(nodes[row]) * dim
        for d in range(dim):
            x = _random(stream, first + d)
            low = (x & quarter) + ((x >> np.uint64(16)) & quarter)
            high = ((x >> np.uint64(32)) & quarter) + (x >> np.uint64(48))
            value = np.int64(low + high) - np.int64(2 * 0xFFFF)
            out_nD[row, d] = centres_CD[labels[row], d] + np.float32(value * scale)
    return out_nD
