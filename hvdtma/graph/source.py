"""The contract of data sources, from which `build` reads graphs.

Legend: N nodes, E edges as given, D features, n pairs of a split, K negatives per pair.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from hvdtma.core.bounds import check_whole
from hvdtma.core.contract import Call, check_methods, not_a
from hvdtma.core.errors import UserError
from hvdtma.graph.sort.batches import LazyEdgeBatch
from hvdtma.storage.node_ids import NodeIds

if TYPE_CHECKING:
    import scipy.sparse as sp

NO_TIME = int(np.iinfo(np.int64).min)  # as NumPy stores "not a time"


@dataclass
class Pairs:
    """The node pairs of one part of a link split.

    Attributes:
        src, dst: int64 [n] node numbers.
        neg: int64 [n, K] negatives: candidate destinations that src has no link to; or None.
        edge_type: int16 [n], or None.
    """

    src: np.ndarray
    dst: np.ndarray
    neg: np.ndarray | None = None
    edge_type: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.src)

    def take(self, rows: np.ndarray | slice) -> Pairs:
        """A selection of the pairs, with their negatives and types."""
        return Pairs(
            self.src[rows],
            self.dst[rows],
            None if self.neg is None else self.neg[rows],
            None if self.edge_type is None else self.edge_type[rows],
        )


class NodeRows(Protocol):
    """Features [N, D] that can be read in any order of the nodes."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def take(self, nodes: np.ndarray) -> np.ndarray:
        """The rows [n, D] of the given nodes, in the given order; called in any thread."""
        ...


@runtime_checkable
class SequentialRows(Protocol):
    """Features [N, D] that can only be read sequentially.

    Attributes:
        nodes: int [N], the node of each row; None if row i belongs to node i.
    """

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def nodes(self) -> np.ndarray | None: ...

    def pieces(self) -> Iterator[np.ndarray]:
        """Every row once, [n, D] at a time."""
        ...


class Source(Protocol):
    """A graph to build a store from: batches of edges, and data of the nodes.

    A data source is a function that returns a `Source`. Two are ready-made in `hvdtma.graph.raw`:
    `EdgeStream` for edges that are read in batches, and `RawGraph` for edges in memory. A complete
    data source:

        import numpy as np
        from hvdtma.graph.raw import EdgeStream

        def ring(num_nodes: int = 1000) -> EdgeStream:
            '''Every node has a link to the next one.'''

            def batches():
                for start in range(0, num_nodes, 100_000):
                    src = np.arange(start, min(start + 100_000, num_nodes))
                    yield src, (src + 1) % num_nodes, None

            return EdgeStream(batches, num_nodes=num_nodes, num_edges=num_nodes)

    The command line takes its import path, here that of a module `my_pkg.data`, and arguments. In
    Python it can also be registered under a name:

        hvdtma build ring.zarr my_pkg.data:ring:num_nodes=5000

        hvdtma.register("source", "ring", ring)
        hvdtma.build("ring.zarr", ring(5000))

    Attributes:
        num_nodes, num_edges: N and E. Memory and disk are planned with E; an estimate will do.
        node_id: the user's ids of the nodes. A node need not have an edge.
        feat: features [N, D], dense, in CSR format or read on demand; None: `build` makes them.
        label: of the nodes; or None. Classes are int64 [N] indices into `label_names`, -1 for no
            label; other kinds are in `hvdtma.graph.targets`.
        undirected: whether an edge stands for both directions.
        label_kind: `class`, `multi` (several labels per node) or `real` (regression); a source
            without this attribute has classes.
        edge_type_names: the names of the edge types; empty for edges without types.
        link_split: the pairs of `train`, `valid` and `test`, which are kept as given; or None.
        node_split: int64 node numbers of `train`, `valid` and `test`; or None. The build draws a
            part that is missing from the labelled nodes in no part, or else from train.
        feature_names: optional; names of the features, strings or integers [D], or None. They match
            the columns of another store (`features_like`).
        counts: notes for the build's report, such as the number of edges left out, by name.
        origin: a description for the store's provenance; JSON values.
        reserved_bytes: the memory that the source occupies during the build.

    These attributes may be missing:

    Attributes:
        weighted: whether the batches have weights; else every edge counts 1.
        timed: whether the batches have times.
        node_time: int64 [N] times of the nodes, `NO_TIME` for a node without; or None.
    """

    @property
    def num_nodes(self) -> int: ...
    @property
    def num_edges(self) -> int: ...
    @property
    def node_id(self) -> NodeIds: ...
    @property
    def feat(self) -> np.ndarray | sp.csr_matrix | NodeRows | SequentialRows | None: ...
    @property
    def label(self) -> np.ndarray | None: ...
    @property
    def undirected(self) -> bool: ...
    @property
    def edge_type_names(self) -> list[str]: ...
    @property
    def label_names(self) -> list[str]: ...
    @property
    def link_split(self) -> dict[str, Pairs] | None: ...
    @property
    def node_split(self) -> dict[str, np.ndarray] | None: ...
    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def origin(self) -> dict[str, object]: ...
    @property
    def reserved_bytes(self) -> int: ...

    def edge_batches(self) -> Iterable[LazyEdgeBatch]:
        """Yield every edge once, in batches; called again by each pass over the edges.

        A batch is an `EdgeBatch` or a tuple of its first fields, such as (src, dst, types): node
        numbers int64 [n] and types int16 [n] or None. Self-loops and repeated edges are allowed.
        About a million edges per batch is a good size. A function in place of a batch is called in
        one of several threads and returns the batch.
        """
        ...

    def check(self) -> None:
        """Raise UserError for arrays of the wrong length, and for numbers out of range."""
        ...


def is_weighted(source: Source) -> bool:
    """Whether the edges of a source have weights."""
    return bool(getattr(source, "weighted", False))


def is_timed(source: Source) -> bool:
    """Whether the edges of a source have times."""
    return bool(getattr(source, "timed", False))


def node_time_of(source: Source) -> np.ndarray | None:
    """The times of a source's nodes, int64 [N] with `NO_TIME` for a node without; or None."""
    return getattr(source, "node_time", None)


def check_node_time(time_N: np.ndarray, num_nodes: int) -> None:
    """Raise UserError unless the times of nodes are `num_nodes` integers."""
    if not isinstance(time_N, np.ndarray) or time_N.dtype != np.int64:
        kind = getattr(time_N, "dtype", type(time_N).__name__)
        raise UserError(
            f"node_time is {kind}; it must be int64, such as years or seconds since 1970 "
            f"({NO_TIME} for a node without a time)"
        )
    if len(time_N) != num_nodes:
        raise UserError(f"node_time has {len(time_N)} rows; the graph has {num_nodes} nodes")


REQUIRED = tuple(name for name, value in vars(Source).items() if isinstance(value, property))


def check_source(name: str, graph: Any) -> None:
    """Raises UserError if an object is not a `Source`. Computes none of its arrays."""
    missing = [
        attribute
        for attribute in REQUIRED
        if inspect.getattr_static(graph, attribute, None) is None and not hasattr(graph, attribute)
    ]
    if missing:
        problem = f"it has no {', '.join(missing)}; hvdtma.graph.raw has ready-made sources"
        raise not_a("source", name, problem)
    check_methods("source", name, graph, {"edge_batches": Call(), "check": Call()})
    for attribute in ("num_nodes", "num_edges"):
        check_whole(f"{attribute} of {name}", getattr(graph, attribute), least=0)
