"""Typed graphs of other frameworks: a DGL heterograph, a PyG `HeteroData`.

Neither framework is imported: any object with the same attributes will do. Attributes that are not
used are printed.

Legend: N nodes of a type, E edges of a type, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError, nearest
from hvdtma.graph.label_values import NodeLabels, targets_of
from hvdtma.graph.sources.edge_data import note_unused
from hvdtma.graph.sources.edge_lists import graph_ids
from hvdtma.graph.sources.given_parts import NODE_PART, parts_of
from hvdtma.graph.sources.tensors import as_array, as_csr, is_sparse, num_rows
from hvdtma.graph.targets import NO_CLASS, UNKNOWN, has_label
from hvdtma.graph.typed.schema import EdgeType
from hvdtma.graph.typed.source import NodesOfType, TypedGraph
from hvdtma.tables.features import checked_features

NO_LABEL = {"class": NO_CLASS, "multi": UNKNOWN, "real": np.nan}
Named = Mapping[str, Any]


@dataclass
class HeteroParts:
    """A typed graph of a framework, taken apart.

    Attributes:
        where: for messages.
        feat, label: the names of features and labels among the data of nodes.
        nodes: for each node type N and its data by name.
        edges: for each edge type the ends int64 [E] and further data by name.
    """

    where: str
    feat: str
    label: str
    nodes: dict[str, tuple[int, Named]] = field(default_factory=dict)
    edges: dict[EdgeType, tuple[np.ndarray, np.ndarray, Named]] = field(default_factory=dict)


def from_hetero_pyg(data: Any, **options: Any) -> TypedGraph:
    """A typed graph from a PyG `HeteroData`; see `typed_graph_of` for the options.

    Reads `x` [N, D], `y` [N] and masks such as `train_mask` of each node type, and `edge_index`
    [2, E] of each edge type.
    """
    parts = HeteroParts("HeteroData", "x", "y")
    for name in data.node_types:
        given = _set(data[name])
        parts.nodes[name] = int(data[name].num_nodes), given
    for triple in data.edge_types:
        given = _set(data[triple])
        if "edge_index" not in given:
            raise UserError(f"{triple} of the HeteroData has no edge_index [2, E]")
        if "edge_label_index" in given:
            raise UserError(
                f"{triple} of the HeteroData has edge_label_index: link splits of HeteroData are "
                "not read; give the data without RandomLinkSplit, the build holds links out"
            )
        src, dst = as_array(given["edge_index"]).astype(np.int64)
        others = {name: value for name, value in given.items() if name != "edge_index"}
        parts.edges[EdgeType.of(triple)] = src, dst, others
    return typed_graph_of(parts, **options)


def from_hetero_dgl(graph: Any, **options: Any) -> TypedGraph:
    """A typed graph from a DGL heterograph; see `typed_graph_of` for the options.

    Reads `feat` [N, D], `label` [N] and masks such as `train_mask` of each node type.
    """
    parts = HeteroParts("the DGLGraph", "feat", "label")
    for name in graph.ntypes:
        parts.nodes[name] = int(graph.num_nodes(name)), dict(graph.nodes[name].data)
    for triple in graph.canonical_etypes:
        src, dst = (as_array(e).astype(np.int64) for e in graph.edges(etype=triple, order="eid"))
        parts.edges[EdgeType.of(triple)] = src, dst, dict(graph.edges[triple].data)
    return typed_graph_of(parts, **options)


def typed_graph_of(
    parts: HeteroParts,
    *,
    undirected: bool = False,
    ids: Mapping[str, Any] | None = None,
    label_kind: str | None = None,
) -> TypedGraph:
    """The graph of these parts.

    Args:
        undirected: whether messages flow both ways: each edge type gets a reverse type.
        ids: integers or strings [N] of node types; 0 .. N-1 for types without.
        label_kind: see `from_dgl`.

    Raises UserError for data of a wrong shape or type, for an unknown type in `ids`, and for labels
    of several types.
    """
    for name in ids or {}:
        if name not in parts.nodes:
            raise UserError(f"ids of '{name}'; {nearest(name, list(parts.nodes))}")
    nodes = {
        name: NodesOfType(graph_ids((ids or {}).get(name), number), _features(parts, name))
        for name, (number, _) in parts.nodes.items()
    }
    edges = {kind: (src, dst) for kind, (src, dst, _) in parts.edges.items()}
    graph = TypedGraph(nodes, edges, add_reverse=undirected, origin={"kind": parts.where})
    labelled = [name for name, (_, given) in parts.nodes.items() if parts.label in given]
    if len(labelled) > 1:
        raise UserError(
            f"{parts.where} has '{parts.label}' of {', '.join(labelled)}; labels are of one node "
            "type: delete the others"
        )
    for name in labelled:
        number, given = parts.nodes[name]
        label = targets_of(
            as_array(given[parts.label]), f"'{parts.label}' of {name}", kind=label_kind
        )
        add_labels(graph, name, label)
        of_type, _ = parts_of(given, NODE_PART, number, "node", f"'{name}' of {parts.where}")
        first = graph.first_of(name)
        graph.node_split = {part: nodes + first for part, nodes in of_type.items()} or None
    note_unused(graph, *_unused(parts, labelled))
    return graph


def add_labels(graph: TypedGraph, node_type: str, labels: NodeLabels) -> None:
    """Set the labels [N] or [N, C] of a node type; the nodes of other types have none."""
    values, names, kind = labels
    if len(values) != len(graph.nodes[node_type]):
        raise UserError(
            f"{len(values)} labels for {len(graph.nodes[node_type])} nodes of '{node_type}'"
        )
    whole = np.full((graph.num_nodes, *values.shape[1:]), NO_LABEL[kind], values.dtype)
    first = graph.first_of(node_type)
    whole[first : first + len(values)] = values
    graph.label, graph.label_names, graph.label_kind = whole, names, kind
    graph.label_type = node_type
    graph.counts["nodes_without_label"] = int((~has_label(values, kind)).sum())
    vars(graph).pop("schema", None)  # it names the type that has labels


def _features(parts: HeteroParts, name: str) -> Any:
    number, given = parts.nodes[name]
    if parts.feat not in given:
        return None
    rows, where = given[parts.feat], f"'{parts.feat}' of '{name}' in {parts.where}"
    if num_rows(rows) != number:
        raise UserError(f"{where} has {num_rows(rows)} rows; the type has {number} nodes")
    return checked_features(as_csr(rows) if is_sparse(rows) else as_array(rows), where)


def _unused(parts: HeteroParts, labelled: Iterable[str]) -> tuple[dict[str, Any], set[str]]:
    """All data by type and name, and the names in use."""
    given: dict[str, Any] = {}
    used = set()
    for name, (_, values) in parts.nodes.items():
        given |= {f"{name}.{key}": value for key, value in values.items()}
        used.add(f"{name}.{parts.feat}")
        if name in labelled:
            used |= {f"{name}.{key}" for key in values if NODE_PART.fullmatch(key)}
            used.add(f"{name}.{parts.label}")
    for kind, (_, _, values) in parts.edges.items():
        given |= {f"{kind}.{key}": value for key, value in values.items()}
    return given, used


def _set(storage: Any) -> dict[str, Any]:
    """The attributes of a PyG storage that are set."""
    return {name: value for name, value in storage.to_dict().items() if value is not None}
