"""Synthetic graphs of any size: `synthetic:nodes=20000,edges=200000,communities=50`.

A degree-corrected stochastic block model (Karrer & Newman, Phys. Rev. E 83, 2011): planted
communities of equal size on contiguous ids, degrees by a power law, features by community. Every
edge and every feature is a pure function of the seed and of its number (SplitMix64 at any position
of its sequence). So batches are made on demand, in any order and in any number of threads.

Legend: N nodes, E edges, C communities, D features, n nodes of a community.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from numbers import Integral, Real
from typing import ClassVar

import numpy as np

from hvdtma.core.bounds import LARGEST_COUNT, LARGEST_GRAPH
from hvdtma.core.compiled import njit
from hvdtma.core.errors import UserError
from hvdtma.graph.hashing import mix
from hvdtma.graph.raw import RawGraph, in_memory
from hvdtma.graph.sort.batches import EDGES_PER_BATCH, EdgeBatch
from hvdtma.storage.node_ids import NodeIds

_RANK_OFFSET = 5.0  # limits the degrees of the largest hubs of a community
_CENTRES, _NOISE, _EDGES = 0, 1, 2  # streams of random numbers
_STEP = np.uint64(0x9E3779B97F4A7C15)  # of SplitMix64's sequence
_TYPES: dict[str, tuple[type, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "bool": (bool, "true or false"),
}


@dataclass(frozen=True)
class SyntheticGraph:
    """A synthetic graph, as a `Source`. Raises UserError for values of a wrong type or range.

    Attributes:
        nodes, edges: their numbers. Edges are drawn with replacement and without self-loops;
            `build` merges repeated edges.
        features: features per node.
        communities: their number; sizes differ by at most one node.
        mixing: the share of edges that leave their community.
        exponent: the exponent of the degrees' power law, above 2.
        noise: the standard deviation of each feature around the community's centre, a unit vector.
        directed: whether edges have a direction.
        seed: of all random numbers.
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
        for field in fields(self):
            kind, valid = _TYPES[str(field.type)]
            value = getattr(self, field.name)
            if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
                raise UserError(f"synthetic: {field.name} is '{value}'; it must be {valid}")
            if isinstance(value, Real) and kind is Real:  # compiled code takes floats
                object.__setattr__(self, field.name, float(value))
        possible = self.nodes * (self.nodes - 1) // 2
        for name, value, fits, valid in (
            ("nodes", self.nodes, 2 <= self.nodes <= LARGEST_GRAPH, f"2 to {LARGEST_GRAPH}"),
            ("edges", self.edges, 1 <= self.edges <= possible, f"1 to {possible} for these nodes"),
            (
                "features",
                self.features,
                1 <= self.features <= LARGEST_COUNT,
                f"1 to {LARGEST_COUNT}",
            ),
            (
                "communities",
                self.communities,
                1 <= self.communities <= self.nodes // 2,
                f"1 to {self.nodes // 2}, at least two nodes in each",
            ),
            ("mixing", self.mixing, 0 <= self.mixing <= 1, "0 to 1"),
            ("exponent", self.exponent, 2 < self.exponent < np.inf, "above 2"),
            ("noise", self.noise, 0 <= self.noise < np.inf, "0 or more"),
            ("seed", self.seed, 0 <= self.seed < 2**64, "0 to 2**64 - 1"),
        ):
            if not fits:
                raise UserError(f"synthetic: {name} is {value}; valid: {valid}")

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
        """The features, made on demand."""
        return self

    @property
    def label(self) -> np.ndarray:
        """The community of every node, int64 [N]."""
        label: np.ndarray = np.empty(self.nodes, np.int64)
        for start in range(0, self.nodes, EDGES_PER_BATCH):
            stop = min(start + EDGES_PER_BATCH, self.nodes)
            label[start:stop] = self.labels_of(np.arange(start, stop))
        return label

    @property
    def label_names(self) -> list[str]:
        return [str(community) for community in range(self.communities)]

    @property
    def origin(self) -> dict[str, object]:
        return {"kind": "synthetic"} | asdict(self)

    @property
    def counts(self) -> dict[str, int]:
        return {}

    @property
    def reserved_bytes(self) -> int:
        return 0

    def check(self) -> None:
        """Do nothing: the arrays are made by this class."""

    def edge_batches(self) -> Iterator[Callable[[], EdgeBatch]]:
        """Functions that each make `EDGES_PER_BATCH` edges."""
        for number in range(-(-self.edges // EDGES_PER_BATCH)):
            yield partial(self.edge_batch, number)

    def edge_batch(self, number: int) -> EdgeBatch:
        """One batch of edges: src and dst, int64, and no types."""
        first = number * EDGES_PER_BATCH
        num = min(EDGES_PER_BATCH, self.edges - first)
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
        return EdgeBatch(src, dst)

    def take(self, nodes: np.ndarray) -> np.ndarray:
        """Features float32 [n, D] of the given nodes."""
        stream, labels = self._stream(_NOISE), self.labels_of(nodes)
        return _features(nodes, labels, self._centres, self.noise, stream)

    def labels_of(self, nodes: np.ndarray) -> np.ndarray:
        """Communities int64 [n] of the given nodes."""
        nodes = nodes.astype(np.int64)
        return (nodes * self.communities + self.communities - 1) // self.nodes

    def load(self) -> RawGraph:
        """The whole graph in memory."""
        return in_memory(self)

    def _stream(self, number: int) -> np.uint64:
        """The start of a stream of random numbers."""
        return np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0]

    @cached_property
    def _centres(self) -> np.ndarray:
        rng = np.random.default_rng(self._stream(_CENTRES))
        centres = rng.standard_normal((self.communities, self.features), np.float32)
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)


@njit(nogil=True)
def _random(stream: np.uint64, counter: int) -> np.uint64:
    """The counter-th number of a stream: SplitMix64 at any position of its sequence."""
    return mix(stream + (np.uint64(counter) - np.uint64(1)) * _STEP)


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
    """A random node of a community, by the inverse of the distribution function.

    The j-th node of a community has the weight (j + offset)^-a with a = 1 / (exponent - 1), so that
    degrees follow the power law. The sum of weights is approximated by its integral, which has a
    closed form, so that no table is needed: `integrals` are x^(1-a) at 0, at the size of the
    smaller communities and at one node more; `exponent` inverts them.
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
    """Edges first .. first + num, each from five random numbers of its own."""
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
    """float32 [n, D]: the centre of every node's community plus noise.

    Noise is approximately normal: the sum of four uniform numbers, the quarters of one random
    number, scaled to unit variance; its range is 3.5 standard deviations.
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
