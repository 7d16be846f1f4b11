"""Graphs made up at any size: communities, degrees by a power law, features that follow both.

A degree-corrected stochastic block model (Karrer & Newman, Phys. Rev. E 83, 2011) with planted
communities of equal size on contiguous ids. Every piece of it - a run of edges, the features of a
range of nodes - is a pure function of the seed and of its number, from the counter-based generator
Philox (Salmon et al., SC 2011), so that a graph of any size is made without being held in memory,
and in any order.

Legend: N nodes, E edges, C communities, D features, n nodes of a community.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from hvdtma.errors import UserError, nearest
from hvdtma.graph.ids import NodeIds
from hvdtma.graph.raw import RawGraph

EDGES_PER_PIECE = 1 << 18
NODES_PER_BLOCK = 1 << 12
_RANK_OFFSET = 5.0  # tames the first few hubs of a community
_CENTRES, _NOISE, _EDGES = 0, 1, 2  # streams of random numbers


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
        seed: of everything.
    """

    nodes: int = 20_000
    edges: int = 200_000
    features: int = 64
    communities: int = 50
    mixing: float = 0.2
    exponent: float = 2.5
    noise: float = 0.5
    seed: int = 0

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
        kinds = {f.name: int if f.type == "int" else float for f in fields(cls) if f.name != "seed"}
        values: dict[str, Any] = {}
        for setting in filter(None, settings.split(",")):
            key, _, text = (part.strip() for part in setting.partition("="))
            if key not in kinds:
                raise UserError(f"synthetic: unknown key '{key}'; {nearest(key, list(kinds))}")
            try:
                values[key] = kinds[key](text)
            except ValueError:
                kind = "a whole number" if kinds[key] is int else "a number"
                raise UserError(f"synthetic: {key} is '{text}'; it must be {kind}") from None
        return cls(**values, seed=seed)

    def edge_pieces(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All edges, `EDGES_PER_PIECE` at a time: src and dst, int64."""
        for piece in range(-(-self.edges // EDGES_PER_PIECE)):
            yield self.edge_piece(piece)

    def edge_piece(self, piece: int) -> tuple[np.ndarray, np.ndarray]:
        """One piece of the edges: src and dst, int64."""
        num = min(EDGES_PER_PIECE, self.edges - piece * EDGES_PER_PIECE)
        uniform = self._random(_EDGES, piece).random((5, num))
        home = (uniform[0] * self.communities).astype(np.int64)
        step = (uniform[1] * (self.communities - 1)).astype(np.int64) + 1
        leaves = (uniform[2] < self.mixing) & (self.communities > 1)
        away = np.where(leaves, (home + step) % self.communities, home)
        src, dst = self._member(home, uniform[3]), self._member(away, uniform[4])
        start, end = self._start(home), self._start(home + 1)
        after = np.where(src + 1 == end, start, src + 1)
        return src, np.where(src == dst, after, dst)

    def features_of(self, start: int, stop: int) -> np.ndarray:
        """Features float32 [stop - start, D] of a range of nodes."""
        blocks = range(start // NODES_PER_BLOCK, -(-stop // NODES_PER_BLOCK))
        pieces = [self._noise_block(block, start, stop) for block in blocks]
        noise = np.concatenate([np.zeros((0, self.features), np.float32), *pieces])
        return self._centres[self.labels_of(start, stop)] + np.float32(self.noise) * noise

    def labels_of(self, start: int, stop: int) -> np.ndarray:
        """Communities int64 [stop - start] of a range of nodes."""
        nodes = np.arange(start, stop, dtype=np.int64)
        return (nodes * self.communities + self.communities - 1) // self.nodes

    def load(self) -> RawGraph:
        """The whole graph in memory."""
        src, dst = (np.concatenate(ends) for ends in zip(*self.edge_pieces(), strict=True))
        return RawGraph(
            src=src,
            dst=dst,
            node_id=NodeIds.counted(self.nodes),
            undirected=True,
            feat=self.features_of(0, self.nodes),
            label=self.labels_of(0, self.nodes),
            label_names=[str(community) for community in range(self.communities)],
            source={"kind": "synthetic"} | asdict(self),
        )

    def _random(self, stream: int, piece: int) -> np.random.Generator:
        key = np.array([self.seed, stream], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, piece]))

    @cached_property
    def _centres(self) -> np.ndarray:
        shape = (self.communities, self.features)
        centres = self._random(_CENTRES, 0).standard_normal(shape, np.float32)
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)

    def _noise_block(self, block: int, start: int, stop: int) -> np.ndarray:
        first = block * NODES_PER_BLOCK
        noise = self._random(_NOISE, block).standard_normal(
            (NODES_PER_BLOCK, self.features), np.float32
        )
        return noise[max(start - first, 0) : stop - first]

    def _start(self, community: np.ndarray) -> np.ndarray:
        """The first node of each community; that of community C is N."""
        return community * self.nodes // self.communities

    def _member(self, community: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """A node of each community, by the inverse of its distribution function.

        The j-th node of a community weighs (j + offset)^-a with a = 1 / (exponent - 1), which
        gives degrees their power law. The sum over j is taken for the integral, which is solved
        in closed form, so no table of weights is needed.
        """
        start = self._start(community)
        size = self._start(community + 1) - start
        power = 1 - 1 / (self.exponent - 1)
        low, high = _RANK_OFFSET**power, (size + _RANK_OFFSET) ** power
        rank = (low + uniform * (high - low)) ** (1 / power) - _RANK_OFFSET
        return start + np.clip(rank.astype(np.int64), 0, size - 1)
