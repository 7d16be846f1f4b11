"""What a build's need of memory and of disk follows from, and the least memory that it can do with.

Every stage is asked before the first one begins, so that a limit that is too small is refused at
once, and one number is named that is enough for all of them. Repeated edges, which are merged, are
not foreseen: less may be enough.

Legend: N nodes, E edges as given, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from hvdtma.core.memory import MemoryBudget
from hvdtma.core.threads import num_workers
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.first_hop import held_for_first_hop, room_for_first_hop
from hvdtma.graph.raw import Source
from hvdtma.graph.reduce import svd_bytes
from hvdtma.graph.sort.edge_sorter import EdgeSorter
from hvdtma.graph.sort.pieces import EDGES_PER_PIECE
from hvdtma.graph.sort.rows import SequentialRows
from hvdtma.graph.sort.shuffle import least_bytes as least_to_shuffle
from hvdtma.graph.spectral import spectral_bytes
from hvdtma.graph.splits import drawing_bytes

DEFAULT_DIM = 128  # of features that are made, or reduced without a word about how far
PAIR_BYTES = 64  # of a held-out pair while the graph is built
PAIR_SHARE = 4  # of the room to sort in, one part in so many is for pairs
LEAST_PAIRS = 10_000  # however little memory
SHUFFLE_SHARE = 4  # of the room, one part in so many is for rows that are put in order
FOUND_BYTES = 32  # of an edge that no negative may be, while it is found
HELD_OUT = ("valid", "test")
LABEL_BYTES = 8  # of a node


@dataclass(frozen=True)
class BuildSizes:
    """The sizes of a graph that is to be built.

    Attributes:
        num_nodes, num_edges: N and E; an undirected edge counts once.
        undirected, typed: of the edges.
        feature_dim: D, in the store.
        features: how they are had: `rows` in any order, `sequential`, `reduced` in memory, or
            made of the `graph`.
        labelled: whether nodes have labels.
        held_out: links by part, about, and the negatives of each.
        draws: whether negatives are drawn; else they are given.
        options: of the build.
    """

    num_nodes: int
    num_edges: int
    undirected: bool
    typed: bool
    feature_dim: int
    features: str
    labelled: bool
    held_out: Mapping[str, tuple[int, int]]
    options: BuildOptions
    draws: bool = True

    @classmethod
    def of(cls, source: Source, options: BuildOptions) -> BuildSizes:
        """Those of a source."""
        dim, kind = features_in_store(source.feat, options)
        return cls(
            source.num_nodes,
            source.num_edges,
            source.undirected,
            bool(source.edge_type_names),
            dim,
            kind,
            bool(source.label_names),
            held_out_of(source, options),
            options,
            _draws(source),
        )

    @property
    def num_keys(self) -> int:
        """Edges that are sorted: an undirected one in both directions."""
        return self.num_edges * (1 + self.undirected)

    @property
    def index_bytes(self) -> int:
        """Of a node's number."""
        return np.dtype(index_dtype(self.num_nodes)).itemsize

    @property
    def feature_bytes(self) -> int:
        """Of one feature in the store."""
        return np.dtype(self.options.feature_dtype).itemsize

    @property
    def order_bytes(self) -> int:
        """Of the order of nodes, which is held until the store is whole."""
        return self.num_nodes * self.index_bytes

    @property
    def num_pairs(self) -> int:
        """Links that are held out, about."""
        return sum(number for number, _ in self.held_out.values())

    @property
    def num_known(self) -> int:
        """Edges that no negative may be, about: those of what is at the ends of held-out links.

        A link's end has more neighbours than most; here twice as many.
        """
        mean_degree = -(-self.num_keys // max(self.num_nodes, 1))
        return min(2 * mean_degree * self.num_pairs, self.num_keys)

    def check_memory(self, memory: MemoryBudget) -> None:
        """Raises UserError, naming the least, where `memory` is not enough for every stage."""
        what, least = f"building a store of {self.num_nodes:,} nodes", self.least_bytes()
        if replace(self, held_out={}).least_bytes() < least:
            what += (
                f", where {self.num_pairs:,} links would be held out (--valid and --test as counts "
                "make it fewer),"
            )
        memory.available(least, what)

    def least_bytes(self) -> int:
        """Bytes that the stage needs which needs most, beside what the source holds."""
        by_order = (self.negatives(), self._features(), self._first_hop(), self.labels())
        return max(self._sorting(), self.order_bytes + max(by_order))

    def held_to_sort(self) -> int:
        """Bytes held while edges are sorted: order, ranks, marks; pieces on their way, or found."""
        edge_bytes = 16 + 2 * self.typed + 8 * (1 + self.undirected)
        pieces = min(num_workers() + 1, -(-self.num_edges // EDGES_PER_PIECE))
        in_flight = pieces * min(self.num_edges, EDGES_PER_PIECE) * edge_bytes
        found = FOUND_BYTES * self.num_known
        return 2 * self.order_bytes + self.num_nodes + max(in_flight, found)

    def room_to_sort(self, memory: MemoryBudget) -> int:
        """Bytes that are left for keys, their sorting and held-out pairs."""
        return memory.available(
            self.held_to_sort(), f"sorting the edges of {self.num_nodes:,} nodes"
        )

    def room_for_first_hop(self, memory: MemoryBudget) -> int:
        """Bytes that the first hop may take; see `neighbour_means`."""
        beside = memory.reserve(self.order_bytes)
        return room_for_first_hop(self.num_nodes, self.feature_bytes, beside)

    def negatives(self) -> int:
        """Bytes that drawing negatives takes, with the links that they are for."""
        if not self.draws:
            return 0
        drawn = (drawing_bytes(*part, self.num_known) for part in self.held_out.values())
        return PAIR_BYTES * self.num_pairs + max(drawn, default=0)

    def labels(self) -> int:
        """Bytes of labels while they are written."""
        return LABEL_BYTES * self.num_nodes * self.labelled

    def _sorting(self) -> int:
        pairs = PAIR_SHARE * PAIR_BYTES * self.num_pairs if self.num_pairs > LEAST_PAIRS else 0
        least = EdgeSorter.least_bytes(self.num_keys) * PAIR_SHARE // (PAIR_SHARE - 1)
        return self.held_to_sort() + max(least, pairs)

    def _features(self) -> int:
        if self.features == "graph":
            return spectral_bytes(self.num_nodes, self.num_keys, self.feature_dim)
        if self.features == "reduced":
            return svd_bytes(self.num_nodes, self.feature_dim)
        if self.features == "sequential":
            row_bytes = self.feature_dim * self.feature_bytes
            room = SHUFFLE_SHARE * least_to_shuffle(self.num_nodes, row_bytes)
            return 2 * self.order_bytes + room  # ranks, and ranks by row
        return 0

    def _first_hop(self) -> int:
        if not self.options.first_hop:
            return 0
        return held_for_first_hop(self.num_nodes, self.feature_bytes)


def features_in_store(feat: object, options: BuildOptions) -> tuple[int, str]:
    """(D in the store, how features are had) of a source's features; see `BuildSizes`."""
    if feat is None:
        return options.feature_dim or DEFAULT_DIM, "graph"
    dim: int = feat.shape[1]  # type: ignore[attr-defined]
    if sp.issparse(feat):
        return min(dim, options.feature_dim or DEFAULT_DIM), "reduced"
    if isinstance(feat, np.ndarray) and options.feature_dim:
        return min(dim, options.feature_dim), "reduced"
    return dim, "sequential" if isinstance(feat, SequentialRows) else "rows"


def held_out_of(source: Source, options: BuildOptions) -> dict[str, tuple[int, int]]:
    """Links by part and the negatives of each, of a source's own split or of one to be made."""
    if source.link_split is None:
        return held_out_links(options, source.num_edges)
    parts = {part: source.link_split[part] for part in HELD_OUT if part in source.link_split}
    return {
        part: (len(pairs), options.negatives if pairs.neg is None else pairs.neg.shape[1])
        for part, pairs in parts.items()
    }


def _draws(source: Source) -> bool:
    """Whether some of its links to hold out come without negatives."""
    split = source.link_split
    return split is None or any(split[part].neg is None for part in HELD_OUT if part in split)


def held_out_links(options: BuildOptions, num_edges: int) -> dict[str, tuple[int, int]]:
    """About how many of `num_edges` links are held out by part, and the negatives of each."""
    if options.hold_out != "links":
        return {}
    sizes = {"valid": options.valid, "test": options.test}
    return {
        part: (int(size * num_edges if size < 1 else size), options.negatives)
        for part, size in sizes.items()
    }


def room_for_keys(room: int) -> int:
    """Bytes for keys and their sorting, of the `room` to sort in."""
    return room * (PAIR_SHARE - 1) // PAIR_SHARE


def most_pairs(room: int) -> int:
    """Pairs that may be held out where there are `room` bytes to sort in."""
    return max(room // PAIR_SHARE // PAIR_BYTES, LEAST_PAIRS)
