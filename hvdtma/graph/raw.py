"""What a source hands to `build`: edges, ids and whatever else came with them, in memory.

Legend: N nodes, E edges as given, D features, n pairs of a split, K negatives per pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.sort.pieces import EDGES_PER_PIECE, EdgePiece
from hvdtma.graph.sort.rows import NodeRows, SequentialRows
from hvdtma.storage.node_ids import NodeIds


@dataclass
class Pairs:
    """Node pairs of one part of a link split.

    Attributes:
        src, dst: int64 [n] node positions.
        neg: int64 [n, K] candidate destinations that are not linked to src, or None.
        edge_type: int16 [n], or None.
    """

    src: np.ndarray
    dst: np.ndarray
    neg: np.ndarray | None = None
    edge_type: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.src)

    def take(self, rows: np.ndarray | slice) -> Pairs:
        """Some of the pairs, with what belongs to them."""
        return Pairs(
            self.src[rows],
            self.dst[rows],
            None if self.neg is None else self.neg[rows],
            None if self.edge_type is None else self.edge_type[rows],
        )


class Source(Protocol):
    """What `build` reads: a graph whose edges come in pieces, in memory or made as they are asked.

    `RawGraph` says what the fields mean.
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
    def source(self) -> dict[str, object]: ...
    @property
    def held_bytes(self) -> int:
        """What it holds of memory while it is built from, beside what the caller knows of."""
        ...

    def edge_pieces(self) -> Iterator[Callable[[], EdgePiece]]:
        """Every edge once: functions that each make a piece, to be called in any thread."""
        ...

    def check(self) -> None:
        """Raises UserError where lengths differ that must not, or numbers point nowhere."""
        ...


@dataclass
class RawGraph:
    """A graph in memory as its source gives it; `build` cleans, splits, renumbers and writes it.

    Attributes:
        src, dst: int64 [E] node positions (not ids) of every edge, duplicates and loops included.
        node_id: the user's ids of the N nodes; a node need not have an edge.
        undirected: whether an edge stands for both directions.
        edge_type: int16 [E] index into `edge_type_names`, or None.
        feat: float [N, D] dense or scipy CSR, or None.
        label: int64 [N] index into `label_names`, -1 where unknown, or None.
        link_split: given splits by part (`train`, `valid`, `test`), kept as they are, or None.
        node_split: int64 node positions by part, or None.
        counts: what the source noticed and how often, for the build's report.
        source: where this came from, for the provenance.
    """

    src: np.ndarray
    dst: np.ndarray
    node_id: NodeIds
    undirected: bool = False
    edge_type: np.ndarray | None = None
    edge_type_names: list[str] = field(default_factory=list)
    feat: np.ndarray | sp.csr_matrix | NodeRows | SequentialRows | None = None
    label: np.ndarray | None = None
    label_names: list[str] = field(default_factory=list)
    link_split: dict[str, Pairs] | None = None
    node_split: dict[str, np.ndarray] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    source: dict[str, object] = field(default_factory=dict)

    @property
    def num_nodes(self) -> int:
        return len(self.node_id)

    @property
    def num_edges(self) -> int:
        """E, as given."""
        return len(self.src)

    @property
    def held_bytes(self) -> int:
        """None: whoever made these arrays knows of them."""
        return 0

    def edge_pieces(self) -> Iterator[Callable[[], EdgePiece]]:
        """The edges in pieces of `EDGES_PER_PIECE`."""
        for start in range(0, self.num_edges, EDGES_PER_PIECE):
            yield partial(self._piece, slice(start, start + EDGES_PER_PIECE))

    def _piece(self, rows: slice) -> EdgePiece:
        types = None if self.edge_type is None else self.edge_type[rows]
        return self.src[rows], self.dst[rows], types

    def check(self) -> None:
        """Raises UserError where lengths differ that must not, or numbers point nowhere."""
        num_nodes, num_edges = self.num_nodes, len(self.src)
        _check("dst", self.dst, num_edges, "edges", num_nodes)
        _check("src", self.src, num_edges, "edges", num_nodes)
        _check("edge_type", self.edge_type, num_edges, "edges", len(self.edge_type_names))
        _check("label", self.label, num_nodes, "nodes", len(self.label_names), least=-1)
        if self.feat is not None and self.feat.shape[0] != num_nodes:
            raise UserError(f"feat has {self.feat.shape[0]} rows; the graph has {num_nodes} nodes")
        for part, pairs in (self.link_split or {}).items():
            for name, ends in (("src", pairs.src), ("dst", pairs.dst), ("neg", pairs.neg)):
                _check(f"{name} of the {part} split", ends, len(pairs), "pairs", num_nodes)
            types, num_types = pairs.edge_type, len(self.edge_type_names)
            _check(f"edge_type of the {part} split", types, len(pairs), "pairs", num_types)
        for part, nodes in (self.node_split or {}).items():
            _check(f"the {part} split", nodes, len(nodes), "nodes", num_nodes)
            unknown = 0 if self.label is None else int((self.label[nodes] < 0).sum())
            if unknown:
                raise UserError(f"the {part} split has {unknown} nodes that have no label")


def _check(
    name: str, values: np.ndarray | None, length: int, what: str, end: int, least: int = 0
) -> None:
    """Refuse values that are not `length` rows of numbers in least .. end-1."""
    if values is None:
        return
    if len(values) != length:
        raise UserError(f"{name} has {len(values)} rows; there are {length} {what}")
    if len(values) and not least <= values.min() <= values.max() < end:
        raise UserError(
            f"{name} holds {values.min()} to {values.max()}; valid: {least} to {end - 1}"
        )
