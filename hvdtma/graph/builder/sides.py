"""The sides of a graph: the nodes seen as sources, and as destinations, of each edge type.

In a graph of users and items, an edge type has users on one side and items on the other. Negatives
are drawn from the side of the end that they replace. Sides are recorded while edges are read, in
the direction of the input, for an undirected graph is stored in both. If links are given in
either direction, the sides are two colours of the nodes (`two_colours`).

Legend: N nodes, E edges of a batch, T edge types (1 for edges without types), R = 2 T roles: role
2 t is that of the sources of type t, role 2 t + 1 that of its destinations. K sets of candidates.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.builder.candidate_rules import choose_rules, is_settled
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.two_colours import MAX_NODES, TwoColours
from hvdtma.graph.builder.two_colours import NODE_BYTES as COLOUR_BYTES
from hvdtma.graph.candidates import ALL_NODES, CandidateRules, Candidates
from hvdtma.graph.sort.batches import EdgeBatch, materialize
from hvdtma.graph.source import Source

ROWS_AT_ONCE = 1 << 16
NUM_COUNTERS, COUNTER_BYTES = 1 << 20, 8
MAX_ROW_BYTES, MAX_ROLE_BYTES = 8, 256 << 20  # beyond both, sides are not recorded


def role_bytes(num_nodes: int, num_types: int) -> int:
    """The bytes per node that record its roles; 0 if there are too many edge types for that.

    A function of the graph alone: the store must not depend on the memory limit.
    """
    row = -(-2 * max(num_types, 1) // 8)
    return row if row <= MAX_ROW_BYTES or row * num_nodes <= MAX_ROLE_BYTES else 0


def recording_bytes(num_nodes: int, num_types: int, option: str) -> int:
    """The memory of a `SideRecorder`, with the candidates that are made of its roles."""
    counters = COUNTER_BYTES * min(num_nodes, NUM_COUNTERS)
    if option == "all":
        return counters
    colours = _looks_for_colours(num_nodes, num_types, option) * COLOUR_BYTES
    return (2 * role_bytes(num_nodes, num_types) + colours) * num_nodes + counters


def _looks_for_colours(num_nodes: int, num_types: int, option: str) -> bool:
    return not num_types and option == "auto" and num_nodes <= MAX_NODES


class SideRecorder:
    """Records the roles of nodes, and an upper bound of their degrees; thread-safe.

    Args:
        num_types: the number of edge types; 0 for edges without types.
        option: see `BuildOptions.negative_destinations`.
    """

    def __init__(self, num_nodes: int, num_types: int, undirected: bool, option: str):
        self.num_nodes, self.num_roles = num_nodes, 2 * max(num_types, 1)
        self.undirected, self.option = undirected, option
        row_bytes = role_bytes(num_nodes, num_types) if option != "all" else 0
        self.roles_NB = np.zeros((num_nodes if row_bytes else 0, row_bytes), np.uint8)
        self.counters = np.zeros(min(num_nodes, NUM_COUNTERS), np.int64)
        with_colours = _looks_for_colours(num_nodes, num_types, option)
        self.colours = TwoColours(num_nodes) if with_colours else None
        self.num_batches = 0
        self.lock = threading.Lock()

    @classmethod
    def of(cls, source: Source, options: BuildOptions) -> SideRecorder | None:
        """The recorder of a build; None without held-out links."""
        if source.link_split is None and options.hold_out != "links":
            return None
        types, option = len(source.edge_type_names), options.negative_destinations
        return cls(source.num_nodes, types, source.undirected, option)

    def recorded(
        self, batches: Iterable[Callable[[], EdgeBatch]]
    ) -> Iterator[Callable[[], EdgeBatch]]:
        """The same batches; each is recorded when it is called."""
        for batch in batches:
            yield partial(self._recorded, batch)

    def _recorded(self, batch: Callable[[], EdgeBatch]) -> EdgeBatch:
        edges = materialize(batch)
        self.add(*edges[:3])
        return edges

    def add(self, src_E: np.ndarray, dst_E: np.ndarray, type_E: np.ndarray | None) -> None:
        """Record edges in the direction of the input; self-loops do not count."""
        types = np.zeros(0, np.int16) if type_E is None else type_E
        with self.lock:
            _mark(self.roles_NB, self.counters, src_E, dst_E, types, self.undirected)
            self.num_batches += 1
            if self.colours is not None and not self.colours.add(src_E, dst_E):
                self.colours = None
            # Most graphs have one kind of nodes, which their first batch shows: no more marks then.
            power_of_two = self.num_batches & (self.num_batches - 1) == 0
            if power_of_two and self._is_settled():
                self.roles_NB = np.zeros((0, 0), np.uint8)

    def _is_settled(self) -> bool:
        undecided = self.colours is not None or self.option != "auto"
        if undecided or self.roles_NB.shape[1] != 1:  # looking at more bytes takes too long
            return False
        return is_settled(self._shared()[0])

    def degree_bound(self, node_Q: np.ndarray) -> np.ndarray:
        """int64 [Q]: at least the number of edges that begin at each node of the input.

        All edges of the node if the graph is undirected. Repeated edges count each time.
        """
        return self.counters[node_Q % max(len(self.counters), 1)]

    def candidates(self, order_N: np.ndarray) -> Candidates:
        """The candidates of the recorded graph, in the store's order of nodes; ends the recording.

        Args:
            order_N: the input's node at each position of the store; empty to keep the order.
        """
        if not self.roles_NB.size:
            found = Candidates.all_nodes(self.num_nodes)
            types = self.num_roles // 2
            all_sets = (ALL_NODES,) * types
            found.rules = CandidateRules(self.option, all_sets, all_sets, (), ("all",) * types)
            return found
        rules, roles_K = choose_rules(*self._shared(), self.undirected, self.option)
        if self.colours is not None and not roles_K:
            side_N = self.colours.roles(self.roles_NB[:, 0])
            if side_N is not None:
                self.roles_NB = side_N[:, None]
                rules, roles_K = choose_rules(*self._shared(), True, self.option)  # either end
        self.colours = None
        member_NR = np.zeros((self.num_nodes, -(-len(roles_K) // 8)), np.uint8)
        sizes = [0] * len(roles_K)
        for number, roles in enumerate(roles_K):
            bit = np.uint8(1 << (number & 7))
            for start in range(0, self.num_nodes, ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                taken = self.roles_NB[order_N[rows] if len(order_N) else rows]
                inside = np.zeros(len(taken), bool)
                for role in roles:
                    inside |= (taken[:, role >> 3] >> np.uint8(role & 7) & np.uint8(1)) > 0
                member_NR[rows, number >> 3] |= inside * bit
                sizes[number] += int(inside.sum())
        self.roles_NB = np.zeros((0, 0), np.uint8)
        return Candidates(replace(rules, sizes=tuple(sizes)), member_NR, max_kept=self.num_nodes)

    def _shared(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether a node has both of two roles, bool [R, R]; the number of nodes of a role [R]."""
        shared_RR = np.zeros((self.num_roles, self.num_roles), bool)
        nodes_R = np.zeros(self.num_roles, np.int64)
        for start in range(0, self.num_nodes, ROWS_AT_ONCE):
            distinct, count = _distinct_rows(self.roles_NB[start : start + ROWS_AT_ONCE])
            has_role = np.unpackbits(distinct, axis=1, bitorder="little")[:, : self.num_roles]
            nodes_R += count @ has_role.astype(np.int64)
            has_role = has_role.astype(np.float32)
            shared_RR |= has_role.T @ has_role > 0
        return shared_RR, nodes_R


def _distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of bytes, and how often each is there."""
    if rows.shape[1] != 1:
        return np.unique(rows, axis=0, return_counts=True)
    count = np.bincount(rows[:, 0])
    values = np.flatnonzero(count)
    return values[:, None].astype(np.uint8), count[values]


@njit(nogil=True)
def _mark(
    roles_NB: np.ndarray,
    counters: np.ndarray,
    src_E: np.ndarray,
    dst_E: np.ndarray,
    type_E: np.ndarray,
    both_ends: bool,
) -> None:
    """Set the roles of both ends of every edge, and count the edge at its source (or both ends)."""
    num_counters, typed, with_roles = len(counters), len(type_E) > 0, roles_NB.shape[1] > 0
    for edge in range(len(src_E)):
        src, dst = src_E[edge], dst_E[edge]
        if src == dst:
            continue
        counters[src % num_counters] += 1
        if both_ends:
            counters[dst % num_counters] += 1
        if with_roles:
            role = 2 * int(type_E[edge]) if typed else 0
            roles_NB[src, role >> 3] |= np.uint8(1 << (role & 7))
            role += 1
            roles_NB[dst, role >> 3] |= np.uint8(1 << (role & 7))
