"""Ready-made sources: a graph in memory, and a graph whose edges come from a function.

Legend: N nodes, E edges as given, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.sort.batches import EDGES_PER_BATCH, EdgeBatch, LazyEdgeBatch, materialize
from hvdtma.graph.source import (
    NodeRows,
    Pairs,
    SequentialRows,
    Source,
    check_node_time,
    is_timed,
    is_weighted,
    node_time_of,
)
from hvdtma.graph.targets import check_targets, has_label, kind_of
from hvdtma.storage.node_ids import NodeIds


@dataclass(kw_only=True)
class GraphData:
    """The attributes of a `Source` that are optional; see there."""

    undirected: bool = False
    edge_type_names: list[str] = field(default_factory=list)
    feat: np.ndarray | sp.csr_matrix | NodeRows | SequentialRows | None = None
    label: np.ndarray | None = None
    label_names: list[str] = field(default_factory=list)
    label_kind: str = "class"
    link_split: dict[str, Pairs] | None = None
    node_split: dict[str, np.ndarray] | None = None
    node_time: np.ndarray | None = None
    feature_names: Sequence[str] | Sequence[int] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    origin: dict[str, object] = field(default_factory=dict)

    @property
    def reserved_bytes(self) -> int:
        """0: the caller accounts for the memory of these arrays."""
        return 0

    def check_data(self, num_nodes: int) -> None:
        """Raise UserError for attributes that do not fit a graph of `num_nodes` nodes."""
        check_targets(self.label, self.label_kind, self.label_names, num_nodes)
        if self.node_time is not None:
            check_node_time(self.node_time, num_nodes)
        if self.feat is not None and self.feat.shape[0] != num_nodes:
            raise UserError(f"feat has {self.feat.shape[0]} rows; the graph has {num_nodes} nodes")
        names, dim = self.feature_names, 0 if self.feat is None else self.feat.shape[1]
        if names is not None and (len(names) != dim or len(set(names)) != dim):
            raise UserError(f"{len(set(names))} distinct feature_names for {dim} features")
        num_types = len(self.edge_type_names)
        for part, pairs in (self.link_split or {}).items():
            for name, ends in (("src", pairs.src), ("dst", pairs.dst), ("neg", pairs.neg)):
                _check(f"{name} of the {part} split", ends, len(pairs), "pairs", num_nodes)
            types = pairs.edge_type
            _check(f"edge_type of the {part} split", types, len(pairs), "pairs", num_types)
        for part, nodes in (self.node_split or {}).items():
            _check(f"the {part} split", nodes, len(nodes), "nodes", num_nodes)
            if self.label is None:
                continue
            unlabelled = int((~has_label(self.label[nodes], self.label_kind)).sum())
            if unlabelled:
                raise UserError(f"the {part} split has {unlabelled} nodes that have no label")


@dataclass
class EdgeStream(GraphData):
    """A source whose edges come from a function, so that they need not fit in memory.

    Attributes:
        batches: called without arguments, returns the batches; see `Source.edge_batches`.
        num_nodes, num_edges: N and E.
        ids: the nodes' ids, integers or strings; None: 0 .. N-1.
        weighted, timed: whether the batches have weights and times.
    """

    batches: Callable[[], Iterable[LazyEdgeBatch]]
    num_nodes: int
    num_edges: int
    ids: Sequence | np.ndarray | pa.Array | None = None
    weighted: bool = field(default=False, kw_only=True)
    timed: bool = field(default=False, kw_only=True)

    @cached_property
    def node_id(self) -> NodeIds:
        """The ids as an Arrow array."""
        return NodeIds.counted(self.num_nodes) if self.ids is None else NodeIds.of(self.ids)

    def edge_batches(self) -> Iterable[LazyEdgeBatch]:
        return self.batches()

    def check(self) -> None:
        if len(self.node_id) != self.num_nodes:
            raise UserError(f"{len(self.node_id)} ids for {self.num_nodes} nodes")
        self.check_data(self.num_nodes)


@dataclass
class RawGraph(GraphData):
    """A source in memory.

    Attributes:
        src, dst: int64 [E] node numbers of every edge, self-loops and repeated edges included.
        node_id: the ids of the N nodes.
        edge_type: int16 [E] indices into `edge_type_names`, or None.
        weight: float [E] positive weights of the edges, or None.
        time: int64 [E] times of the edges, or None.
    """

    src: np.ndarray
    dst: np.ndarray
    node_id: NodeIds
    edge_type: np.ndarray | None = None
    weight: np.ndarray | None = None
    time: np.ndarray | None = None

    @property
    def weighted(self) -> bool:
        return self.weight is not None

    @property
    def timed(self) -> bool:
        return self.time is not None

    @property
    def num_nodes(self) -> int:
        return len(self.node_id)

    @property
    def num_edges(self) -> int:
        return len(self.src)

    def edge_batches(self) -> Iterator[LazyEdgeBatch]:
        """The edges in batches of `EDGES_PER_BATCH`."""
        edges = EdgeBatch(self.src, self.dst, self.edge_type, self.weight, self.time)
        for start in range(0, len(self.src), EDGES_PER_BATCH):
            yield edges.take(slice(start, start + EDGES_PER_BATCH))

    def check(self) -> None:
        num_nodes, num_edges = self.num_nodes, len(self.src)
        _check("dst", self.dst, num_edges, "edges", num_nodes)
        _check("src", self.src, num_edges, "edges", num_nodes)
        _check("edge_type", self.edge_type, num_edges, "edges", len(self.edge_type_names))
        for name, values in (("weight", self.weight), ("time", self.time)):
            if values is not None and len(values) != num_edges:
                raise UserError(f"{name} has {len(values)} rows; there are {num_edges} edges")
        self.check_data(num_nodes)


def in_memory(source: Source) -> RawGraph:
    """The whole graph of a source in memory."""
    batches = [materialize(batch) for batch in source.edge_batches()]

    def gathered(name: str, dtype: type, present: bool) -> np.ndarray | None:
        if not present:
            return None
        return np.concatenate([np.zeros(0, dtype), *(getattr(each, name) for each in batches)])

    none = np.zeros(0, np.int64)
    return RawGraph(
        src=np.concatenate([none, *(batch.src for batch in batches)]),
        dst=np.concatenate([none, *(batch.dst for batch in batches)]),
        node_id=source.node_id,
        edge_type=gathered("types", np.int16, bool(source.edge_type_names)),
        weight=gathered("weight", np.float32, is_weighted(source)),
        time=gathered("time", np.int64, is_timed(source)),
        undirected=source.undirected,
        edge_type_names=source.edge_type_names,
        feat=_dense(source.feat),
        label=source.label,
        label_names=source.label_names,
        label_kind=kind_of(source),
        link_split=source.link_split,
        node_split=source.node_split,
        node_time=node_time_of(source),
        counts=source.counts,
        origin=source.origin,
    )


def read_all_rows(rows: SequentialRows) -> np.ndarray:
    """All rows [N, D] in the order of the nodes."""
    feat_ND, start = np.empty(rows.shape, rows.dtype), 0
    for values in rows.pieces():
        places = slice(start, start + len(values))
        feat_ND[places if rows.nodes is None else rows.nodes[places]] = values
        start += len(values)
    return feat_ND


def _dense(
    feat: np.ndarray | sp.csr_matrix | NodeRows | SequentialRows | None,
) -> np.ndarray | sp.csr_matrix | None:
    if feat is None or isinstance(feat, np.ndarray) or sp.issparse(feat):
        return feat
    if isinstance(feat, SequentialRows):
        return read_all_rows(feat)
    return feat.take(np.arange(feat.shape[0]))


def _check(name: str, values: np.ndarray | None, length: int, unit: str, end: int) -> None:
    """Raise UserError unless `values` are `length` rows of numbers in 0 .. end-1, or None."""
    if values is None:
        return
    if len(values) != length:
        raise UserError(f"{name} has {len(values)} rows; there are {length} {unit}")
    if len(values) and not 0 <= values.min() <= values.max() < end:
        raise UserError(f"{name} holds {values.min()} to {values.max()}; valid: 0 to {end - 1}")
