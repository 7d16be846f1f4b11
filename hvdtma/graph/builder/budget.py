"""The memory that a build requires, calculated from the sizes of the graph.

All stages are checked before the first one begins, so that a limit that is too small is refused at
once, and the least limit that is named is enough for every stage. Merged repeated edges are not
taken into account: less may be enough.

Legend: N nodes, E edges as given, D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from hvdtma.core.memory import MemoryBudget
from hvdtma.core.split_parts import HELD_OUT_PARTS
from hvdtma.core.threads import num_workers
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.sides import recording_bytes, role_bytes
from hvdtma.graph.builder.svd import reduction_bytes, spectral_bytes, svd_bytes
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.first_hop import available_for_first_hop, first_hop_bytes
from hvdtma.graph.negatives import drawing_bytes
from hvdtma.graph.sort.batches import EDGES_PER_BATCH
from hvdtma.graph.sort.edge_sorter import EdgeSorter, value_bytes
from hvdtma.graph.sort.shuffle import least_bytes as least_to_shuffle
from hvdtma.graph.source import SequentialRows, Source, is_timed, is_weighted
from hvdtma.graph.targets import kind_of, label_row_bytes

DEFAULT_DIM = 128  # columns of features that are made or reduced, without --feature-dim
PAIR_BYTES = 64  # per held-out pair
PAIR_SHARE = 4  # one part in 4 of the memory to sort in is for held-out pairs
LEAST_PAIRS = 10_000  # whatever the memory
SHUFFLE_SHARE = 4  # one part in 4 of the available memory is for shuffled rows
FOUND_BYTES = 64  # per known edge, which no negative may be, while they are collected
LABEL_BYTES = 8  # per node, of a class


@dataclass(frozen=True)
class BuildSizes:
    """The sizes of a graph to be built, and the memory that its build requires.

    Attributes:
        num_nodes, num_edges: N and E; an undirected edge counts once.
        undirected, typed: of the edges.
        feature_dim: D in the store.
        features: `rows` in any order, `sequential` rows, rows to be `reduced`, or features to be
            made from the `graph`.
        labelled: whether nodes have labels.
        held_out: for each part about the number of links, and the number of negatives per link.
        options: of the build.
        draws: whether negatives are drawn; if not, they are given.
        weighted, timed: whether edges have weights and times.
        label_row_bytes: the size of a node's label.
        num_types: of the edges; 0 if there are no types, or if their number is not known yet.
        reduced_from: the number of features that an SVD reduces; 0 without.
        kept_bytes: the size of the projection of another store, which is written again.
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
    weighted: bool = False
    timed: bool = False
    label_row_bytes: int = LABEL_BYTES
    num_types: int = 0
    reduced_from: int = 0
    kept_bytes: int = 0

    @classmethod
    def of(cls, source: Source, options: BuildOptions) -> BuildSizes:
        """The sizes of a source."""
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
            weighted=is_weighted(source),
            timed=is_timed(source),
            label_row_bytes=label_row_bytes(kind_of(source), len(source.label_names)),
            num_types=len(source.edge_type_names),
            reduced_from=(
                source.feat.shape[1] if source.feat is not None and kind == "reduced" else 0
            ),
        )

    def projected(self, feature_dim: int, kept_bytes: int) -> BuildSizes:
        """The sizes if the features are those of another store, with a projection of this size."""
        kind = "sequential" if self.features == "sequential" else "rows"
        return replace(
            self, feature_dim=feature_dim, features=kind, reduced_from=0, kept_bytes=kept_bytes
        )

    @property
    def projection_bytes(self) -> int:
        """The size of the projection in the store; see `hvdtma.graph.builder.projection`."""
        if self.features == "graph":
            return self.num_nodes * (4 * self.feature_dim + 8)
        return self.kept_bytes + 4 * self.reduced_from * (self.feature_dim + 1)

    @property
    def typed_bytes(self) -> dict[str, int]:
        """The size of arrays that a typed store has in place of others; see `TypedSizes`."""
        return {}

    @property
    def num_keys(self) -> int:
        """The number of keys to sort: one per direction of an edge."""
        return self.num_edges * (1 + self.undirected)

    @property
    def weight_bytes(self) -> int:
        """The size of a weight beside a key; 0 without weights."""
        return value_bytes("weight" if self.weighted else None)

    @property
    def links_by_time(self) -> bool:
        """Whether links are held out by time, which takes another pass."""
        return self.options.split == "time" and self.options.hold_out == "links"

    @property
    def index_bytes(self) -> int:
        """The size of a node number."""
        return np.dtype(index_dtype(self.num_nodes)).itemsize

    @property
    def feature_bytes(self) -> int:
        """The size of a feature in the store."""
        return np.dtype(self.options.feature_dtype).itemsize

    @property
    def order_bytes(self) -> int:
        """The size of the order of nodes, which is in memory throughout the build."""
        return self.num_nodes * self.index_bytes

    @property
    def candidate_row_bytes(self) -> int:
        """At most the bytes per node of the store's `candidates`."""
        records = bool(self.held_out) and self.options.negative_destinations != "all"
        return role_bytes(self.num_nodes, self.num_types) if records else 0

    @property
    def side_bytes(self) -> int:
        """The memory for the sides of the graph until negatives are drawn; 0 without links."""
        if not self.held_out:
            return 0
        option = self.options.negative_destinations
        return recording_bytes(self.num_nodes, self.num_types, option)

    @property
    def num_pairs(self) -> int:
        """The approximate number of held-out links."""
        return sum(number for number, _ in self.held_out.values())

    @property
    def num_known(self) -> int:
        """The approximate number of known edges: those of the ends of held-out links.

        The ends of links have more neighbours than the average node; twice as many are assumed.
        """
        mean_degree = -(-self.num_keys // max(self.num_nodes, 1))
        return min(2 * mean_degree * self.num_pairs, self.num_keys)

    def check_memory(self, memory: MemoryBudget) -> None:
        """Raise UserError, naming the least limit, if `memory` is too small for a stage."""
        purpose, required = f"building a store of {self.num_nodes:,} nodes", self.least_bytes()
        if replace(self, held_out={}).least_bytes() < required:
            purpose += (
                f" with {self.num_pairs:,} held-out links (fewer with --valid and --test as counts)"
            )
        memory.available(required, purpose)

    def least_bytes(self) -> int:
        """The memory of the stage that needs most, besides that of the source."""
        by_order = (
            self.negative_bytes(),
            self._feature_stage_bytes(),
            self._first_hop_bytes(),
            self.label_bytes(),
        )
        return max(self._sort_bytes(), self.order_bytes + max(by_order))

    def reserved_to_sort(self) -> int:
        """The memory in use while edges are sorted, besides keys and held-out pairs.

        Order, ranks, marks and sides of nodes, and either the batches in work or the known edges.
        """
        given = 16 + 2 * self.typed + 4 * self.weighted + 8 * self.timed
        if self.options.split == "time" and not self.links_by_time:
            given *= 1 + self.undirected  # single directions
        keys = 8 if not self.weighted else 16 + 2 * self.weight_bytes  # and records of both
        edge_bytes = given + keys * (1 + self.undirected)
        if self.links_by_time:  # lower and higher ends, keys, times, and records of both
            edge_bytes = max(edge_bytes, given + 16 + 32)
        batches = min(num_workers() + 1, -(-self.num_edges // EDGES_PER_BATCH))
        in_flight = batches * min(self.num_edges, EDGES_PER_BATCH) * edge_bytes
        found = FOUND_BYTES * self.num_known
        reserved = 2 * self.order_bytes + self.num_nodes + self.side_bytes
        return reserved + max(in_flight, found)

    def available_to_sort(self, memory: MemoryBudget) -> int:
        """The memory that is left for keys, for sorting them, and for held-out pairs."""
        return memory.available(
            self.reserved_to_sort(), f"sorting the edges of {self.num_nodes:,} nodes"
        )

    def available_for_first_hop(self, memory: MemoryBudget) -> int:
        """The memory for the first hop; see `neighbour_means`."""
        memory = memory.reserve(self.order_bytes)
        return available_for_first_hop(self.num_nodes, self.feature_bytes, memory)

    def negative_bytes(self) -> int:
        """The memory for drawing negatives, with the held-out links."""
        if not self.draws:
            return 0
        drawn = (drawing_bytes(*part, self.num_known) for part in self.held_out.values())
        lists = self.order_bytes * bool(self.candidate_row_bytes)  # the nodes of sets in use
        return PAIR_BYTES * self.num_pairs + max(drawn, default=0) + self.side_bytes + lists

    def label_bytes(self) -> int:
        """The memory for labels while they are written."""
        return self.label_row_bytes * self.num_nodes * self.labelled

    def _sort_bytes(self) -> int:
        pairs = PAIR_SHARE * PAIR_BYTES * self.num_pairs if self.num_pairs > LEAST_PAIRS else 0
        least = EdgeSorter.least_bytes(self.num_keys, self.weight_bytes)
        if self.links_by_time:
            least = max(least, EdgeSorter.least_bytes(self.num_edges, value_bytes("time")))
        return self.reserved_to_sort() + max(least * PAIR_SHARE // (PAIR_SHARE - 1), pairs)

    def _feature_stage_bytes(self) -> int:
        if self.features == "graph":
            return spectral_bytes(self.num_nodes, self.num_keys, self.feature_dim)
        if self.features == "reduced":
            svd = svd_bytes(self.num_nodes, self.feature_dim)
            return svd + reduction_bytes(self.reduced_from, self.feature_dim)
        if self.features == "sequential":
            row_bytes = self.feature_dim * self.feature_bytes
            shuffle_bytes = SHUFFLE_SHARE * least_to_shuffle(self.num_nodes, row_bytes)
            return 2 * self.order_bytes + shuffle_bytes  # the order's inverse, and that by row
        return 0

    def _first_hop_bytes(self) -> int:
        if not self.options.first_hop:
            return 0
        return first_hop_bytes(self.num_nodes, self.feature_bytes)


def features_in_store(feat: object, options: BuildOptions) -> tuple[int, str]:
    """D in the store and the kind of a source's features; see `BuildSizes`."""
    if feat is None:
        return options.feature_dim or DEFAULT_DIM, "graph"
    dim: int = feat.shape[1]  # type: ignore[attr-defined]
    if sp.issparse(feat):
        return min(dim, options.feature_dim or DEFAULT_DIM), "reduced"
    if isinstance(feat, np.ndarray) and options.feature_dim:
        return min(dim, options.feature_dim), "reduced"
    return dim, "sequential" if isinstance(feat, SequentialRows) else "rows"


def held_out_of(source: Source, options: BuildOptions) -> dict[str, tuple[int, int]]:
    """Links and negatives per link of each part, for a source's own split or a new one."""
    if source.link_split is None:
        return held_out_links(options, source.num_edges)
    parts = {p: source.link_split[p] for p in HELD_OUT_PARTS if p in source.link_split}
    return {
        part: (len(pairs), options.negatives if pairs.neg is None else pairs.neg.shape[1])
        for part, pairs in parts.items()
    }


def _draws(source: Source) -> bool:
    """Whether negatives are drawn for at least one part."""
    split = source.link_split
    return split is None or any(split[p].neg is None for p in HELD_OUT_PARTS if p in split)


def held_out_links(options: BuildOptions, num_edges: int) -> dict[str, tuple[int, int]]:
    """The approximate number of links to hold out for each part, and the negatives per link."""
    if options.hold_out != "links":
        return {}
    sizes = {"valid": options.valid, "test": options.test}
    return {
        part: (int(size * num_edges if size < 1 else size), options.negatives)
        for part, size in sizes.items()
    }


def bytes_for_keys(available: int) -> int:
    """The share for keys and for sorting them, of the memory available to sort."""
    return available * (PAIR_SHARE - 1) // PAIR_SHARE


def max_pairs(available: int) -> int:
    """The number of pairs that may be held out, for the memory available to sort."""
    return max(available // PAIR_SHARE // PAIR_BYTES, LEAST_PAIRS)
