"""Candidates: the nodes that may replace an end of a link, which makes a negative of the link.

A negative of `user buys item` is another item: a user would be recognised as a negative by its
kind. `hvdtma.graph.builder.sides` determines the sets of candidates from the edges of each type.

Legend: N nodes, K sets, T edge types (1 for edges without types), Q links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hvdtma.graph.csc import index_dtype

ALL_NODES = -1  # in place of the number of a set
NODES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class CandidateRules:
    """The set of candidates for each end of the links of each edge type; K is 0 without sets.

    Attributes:
        option: `auto`, `all` or `seen`; see `BuildOptions.negative_destinations`.
        src, dst: for each of T edge types the number of the set that a source, or a destination,
            is replaced from; or `ALL_NODES`.
        sizes: the number of nodes of each of K sets.
        reasons: for each edge type `sides` (its sources and destinations do not overlap), `kind`
            (its ends are of one kind, and there are other kinds), `seen` (by option) or `all`.
    """

    option: str = "all"
    src: tuple[int, ...] = (ALL_NODES,)
    dst: tuple[int, ...] = (ALL_NODES,)
    sizes: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ("all",)

    @classmethod
    def of_attrs(cls, attrs: Mapping[str, Any]) -> CandidateRules:
        """The rules from the attributes of a store; all nodes for a store without rules."""
        rules = attrs.get("candidates", {})
        named = {name: tuple(value) for name, value in rules.items() if name != "option"}
        return cls(rules.get("option", "all"), **named)

    def as_attrs(self) -> dict[str, Any]:
        """The rules as JSON values."""
        return asdict(self)

    @property
    def row_bytes(self) -> int:
        """The bytes per node of the bits that name its sets."""
        return -(-len(self.sizes) // 8)

    def node_bytes(self, num_nodes: int) -> float:
        """The memory per node of `Candidates` with the members of every set."""
        members = np.dtype(index_dtype(num_nodes)).itemsize * sum(self.sizes)
        return self.row_bytes + members / max(num_nodes, 1)


@dataclass
class Candidates:
    """The candidates of a graph, or of a shard with its local node numbers.

    Attributes:
        rules: the sets of each edge type.
        member_NR: uint8 [N, K/8 rounded up]; bit k % 8 of byte k // 8: whether a node is in set k.
        max_kept: the number of nodes of sets that are kept as lists; None: no limit.
    """

    rules: CandidateRules
    member_NR: np.ndarray
    max_kept: int | None = None
    lists: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def all_nodes(cls, num_nodes: int) -> Candidates:
        """Every node is a candidate."""
        return cls(CandidateRules(), np.zeros((num_nodes, 0), np.uint8))

    @property
    def num_nodes(self) -> int:
        return len(self.member_NR)

    @cached_property
    def _type_sets(self) -> np.ndarray:
        """int64 [T, 2]: the sets of sources and of destinations."""
        return np.stack([self.rules.src, self.rules.dst], axis=1).astype(np.int64)

    def sets_for(self, end_Q: np.ndarray, type_Q: np.ndarray | None) -> np.ndarray:
        """int64 [Q]: the number of the set from which an end of a link is replaced.

        An undirected link does not say which side an end is on: it is the one that has the end.

        Args:
            end_Q: the end that is replaced.
            type_Q: the types of the links; None for edges without types.
        """
        sets_Q2 = self._type_sets[np.zeros(len(end_Q), np.int64) if type_Q is None else type_Q]
        is_dst_Q = self.contain(sets_Q2[:, 1], end_Q)
        return np.where(is_dst_Q, sets_Q2[:, 1], sets_Q2[:, 0])

    def contain(self, set_Q: np.ndarray | int, node_Q: np.ndarray) -> np.ndarray:
        """Bool [Q]: whether each set has each node."""
        set_Q = np.broadcast_to(np.asarray(set_Q), node_Q.shape)
        found_Q = set_Q == ALL_NODES
        at = np.flatnonzero(~found_Q)
        number = set_Q[at]
        found_Q[at] = self.member_NR[node_Q[at], number >> 3] >> (number & 7).astype(np.uint8) & 1
        return found_Q

    def sizes(self, set_Q: np.ndarray) -> np.ndarray:
        """int64 [Q]: the number of nodes of each set, for the whole graph."""
        return np.append(self.rules.sizes, self.num_nodes).astype(np.int64)[set_Q]

    def nodes(self, number: int) -> np.ndarray:
        """The nodes of a set, ascending, of the index dtype."""
        found = self.lists.get(number)
        if found is None:
            found = self._find(number)
            kept = sum(map(len, self.lists.values()))
            if self.max_kept is not None and kept + len(found) > self.max_kept:
                self.lists.clear()
            self.lists[number] = found
        return found

    def _find(self, number: int) -> np.ndarray:
        dtype, bit = index_dtype(self.num_nodes), np.uint8(1 << (number & 7))
        pieces: list[np.ndarray] = [np.zeros(0, dtype)]
        for start in range(0, self.num_nodes, NODES_AT_ONCE):
            here = self.member_NR[start : start + NODES_AT_ONCE, number >> 3] & bit
            pieces.append((start + np.flatnonzero(here)).astype(dtype))
        return np.concatenate(pieces)

    def draw_from(
        self,
        number: int,
        shape: int | tuple[int, ...],
        rng: np.random.Generator,
        end: int | None = None,
    ) -> np.ndarray:
        """Nodes of a set, int64, uniform over its nodes below `end` (None: all its nodes).

        Raises ValueError if the set has no such node.
        """
        end = self.num_nodes if end is None else end
        if number == ALL_NODES:
            return rng.integers(0, end, shape, dtype=np.int64)
        nodes = self.nodes(number)
        drawn = rng.integers(0, int(np.searchsorted(nodes, end)), shape, dtype=np.int64)
        places = drawn.reshape(-1)
        for start in range(0, len(places), NODES_AT_ONCE):  # in place: there may be many
            piece = places[start : start + NODES_AT_ONCE]
            piece[:] = nodes[piece]
        return drawn

    def draw(self, set_Q: np.ndarray, rng: np.random.Generator, end: int) -> np.ndarray:
        """int64 [Q]: for each link a node of its own set; see `draw_from`."""
        drawn_Q = np.empty(len(set_Q), np.int64)
        for number in np.unique(set_Q).tolist():
            at = np.flatnonzero(set_Q == number)
            drawn_Q[at] = self.draw_from(number, len(at), rng, end)
        return drawn_Q
