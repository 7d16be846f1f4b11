"""A whole graph in memory: renumbering it, reading it from a store and writing it to one.

Legend: N nodes, E stored edges, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hvdtma.core.split_parts import PARTS
from hvdtma.graph.csc import CSC, build_csc
from hvdtma.graph.source import Pairs
from hvdtma.graph.store import GraphStore
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.writer import StoreWriter


@dataclass
class Graph:
    """The training graph and everything kept beside it, numbered alike.

    Attributes:
        csc: the training graph; an undirected link stands in it in both directions.
        node_id: the user's ids of the N nodes.
        feat: float16 or float32 [N, D].
        first_hop: float16 or float32 [N, D] mean of the in-neighbours' features, or None.
        label: as in a store (`hvdtma.graph.targets`), or None.
        links: held-out links of `valid` and `test`.
        nodes: labelled nodes of `train`, `valid` and `test`.
        attrs: what the store says of itself beyond the arrays (counts, provenance, names).
    """

    csc: CSC
    node_id: NodeIds
    undirected: bool
    feat: np.ndarray
    first_hop: np.ndarray | None = None
    label: np.ndarray | None = None
    links: dict[str, Pairs] = field(default_factory=dict)
    nodes: dict[str, np.ndarray] = field(default_factory=dict)
    attrs: dict = field(default_factory=dict)

    @property
    def num_nodes(self) -> int:
        return self.csc.num_nodes

    @property
    def in_weight(self) -> np.ndarray | None:
        """The sum of the weights of each node's in-edges, float64 [N]; None without weights."""
        if self.csc.weight is None:
            return None
        return np.bincount(self.csc.destinations(), self.csc.weight, self.num_nodes)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by the name it has in a store."""
        named = {
            "indptr": self.csc.indptr,
            "indices": self.csc.indices,
            "edge_type": self.csc.edge_type,
            "weight": self.csc.weight,
            "in_weight": self.in_weight,
            "feat": self.feat,
            "first_hop": self.first_hop,
            "label": self.label,
        }
        named |= {f"node_id/{k}": v for k, v in self.node_id.as_arrays().items()}
        for part, pairs in self.links.items():
            named |= {f"split/{part}/{k}": v for k, v in vars(pairs).items()}
        named |= {f"split/{part}/node": nodes for part, nodes in self.nodes.items()}
        return {name: values for name, values in named.items() if values is not None}


def renumber(graph: Graph, order_N: np.ndarray) -> Graph:
    """The same graph with node `order[i]` renamed to `i`; order is a permutation int64 [N]."""
    rank_N = np.empty_like(order_N)
    rank_N[order_N] = np.arange(len(order_N))
    csc = graph.csc
    return replace(
        graph,
        csc=build_csc(
            rank_N[csc.indices],
            rank_N[csc.destinations()],
            csc.num_nodes,
            csc.edge_type,
            csc.weight,
        ),
        node_id=graph.node_id.take(order_N),
        feat=graph.feat[order_N],
        first_hop=None if graph.first_hop is None else graph.first_hop[order_N],
        label=None if graph.label is None else graph.label[order_N],
        links={part: _renumber_pairs(pairs, rank_N) for part, pairs in graph.links.items()},
        nodes={part: np.sort(rank_N[nodes]) for part, nodes in graph.nodes.items()},
    )


def _renumber_pairs(pairs: Pairs, rank_N: np.ndarray) -> Pairs:
    neg = None if pairs.neg is None else rank_N[pairs.neg].astype(pairs.neg.dtype)
    return Pairs(rank_N[pairs.src], rank_N[pairs.dst], neg, pairs.edge_type)


def read_graph(store: GraphStore) -> Graph:
    """All of a store in memory."""
    parts = {part: store.links(part) for part in ("valid", "test")}
    nodes = {part: store.labelled_nodes(part) for part in PARTS}
    return Graph(
        csc=store.rows(0, store.num_nodes),
        node_id=store.node_ids(),
        undirected=store.undirected,
        feat=store.read("feat"),
        first_hop=store.read("first_hop") if "first_hop" in store else None,
        label=store.read("label") if "label" in store else None,
        links={part: pairs for part, pairs in parts.items() if pairs is not None},
        nodes={part: found for part, found in nodes.items() if found is not None},
        attrs={k: v for k, v in store.attrs.items() if k in KEPT_ATTRS},
    )


KEPT_ATTRS = (
    "graph",
    "label_names",
    "label_kind",
    "training_labels",
    "edge_type_names",
    "negatives_given",
    "candidates",
    "counts",
    "provenance",
)


def write_graph(
    path: str | Path,
    graph: Graph,
    block_offsets: np.ndarray,
    *,
    order: dict,
    part_offsets: np.ndarray | None = None,
    overwrite: bool = False,
) -> GraphStore:
    """Write a graph as a store and open it.

    Args:
        block_offsets: int64 [B+1] first node of each block, and N.
        order: how the node ids were ordered (method, seed, ...), kept as an attribute.
        part_offsets: int64 [P+1] first block of each min-cut part, and B.

    Raises UserError if `path` exists (unless `overwrite`) or the disk fills up.
    """
    with StoreWriter(Path(path), overwrite) as writer:
        for name, values in graph.arrays.items():
            writer.put(name, values)
        writer.put("block_offsets", block_offsets)
        if part_offsets is not None:
            writer.put("part_offsets", part_offsets)
        writer.attrs |= graph.attrs | {
            "num_nodes": graph.num_nodes,
            "num_edges": graph.csc.num_edges,
            "undirected": graph.undirected,
            "feature_dim": graph.feat.shape[1],
            "order": order,
        }
    return GraphStore(path)
