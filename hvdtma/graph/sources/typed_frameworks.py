"""Typed graphs of other frameworks: a DGL heterograph, a PyG `HeteroData`.

Neither framework is imported: any object with the same attributes will do. Attributes that are not
used are printed.

Legend: N nodes of a type, E edges of a type, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError, nearest
from hvdtma.graph.framework_objects import BESIDE
from hvdtma.graph.label_values import NodeLabels, targets_of
from hvdtma.graph.sources.edge_data import note_unused
from hvdtma.graph.sources.edge_lists import graph_ids
from hvdtma.graph.sources.exported import (
    held_out_links,
    node_parts,
    opened_beside,
    stored_label,
)
from hvdtma.graph.sources.given_parts import NODE_PART, parts_of
from hvdtma.graph.sources.tensors import as_array, as_csr, is_sparse, num_rows
from hvdtma.graph.targets import NO_CLASS, UNKNOWN, has_label
from hvdtma.graph.typed.schema import EdgeType, GraphSchema
from hvdtma.graph.typed.source import NodesOfType, TypedGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.features import checked_features

# What the data of edges mean by their usual names.
EDGE_DATA = {
    **dict.fromkeys(("edge_attr", "edge_feat", "feat", "x", "e_feat", "efeat"), "features"),
    **dict.fromkeys(("edge_weight", "weight", "w"), "weights"),
    **dict.fromkeys(("edge_time", "time", "timestamp", "t"), "times"),
}
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
        beside: ids and splits of an exported store; None of other graphs.
    """

    where: str
    feat: str
    label: str
    nodes: dict[str, tuple[int, Named]] = field(default_factory=dict)
    edges: dict[EdgeType, tuple[np.ndarray, np.ndarray, Named]] = field(default_factory=dict)
    beside: Named | None = None


def from_hetero_pyg(data: Any, **options: Any) -> TypedGraph:
    """A typed graph from a PyG `HeteroData`; see `typed_graph_of` for the options.

    Reads `x` [N, D], `y` [N] and masks such as `train_mask` of each node type, and `edge_index`
    [2, E] of each edge type.
    """
    parts = HeteroParts("HeteroData", "x", "y", beside=getattr(data, BESIDE, None))
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


def from_hetero_dgl(graph: Any, beside: Named | None = None, **options: Any) -> TypedGraph:
    """A typed graph from a DGL heterograph; see `typed_graph_of` for the options.

    Reads `feat` [N, D], `label` [N] and masks such as `train_mask` of each node type.

    Args:
        beside: see `from_dgl`.
    """
    beside = beside or getattr(graph, BESIDE, None)
    parts = HeteroParts("the DGLGraph", "feat", "label", beside=beside)
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
    if parts.beside is not None:
        return _exported(parts, parts.beside)
    for name in ids or {}:
        if name not in parts.nodes:
            raise UserError(f"ids of '{name}'; {nearest(name, list(parts.nodes))}")
    nodes = {
        name: NodesOfType(graph_ids((ids or {}).get(name), number), _features(parts, name))
        for name, (number, _) in parts.nodes.items()
    }
    _refuse_edge_data(parts)
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


def _refuse_edge_data(parts: HeteroParts) -> None:
    """Raise UserError for edge features, weights and times, which no part of training would use."""
    for kind, (_, _, given) in parts.edges.items():
        for name in given:
            word = EDGE_DATA.get(name)
            if word is not None:
                raise UserError(
                    f"'{name}' of '{kind}' in {parts.where}: typed graphs have no edge {word}, and "
                    "no encoder would use them; delete it to build without"
                )


def _exported(parts: HeteroParts, beside: Named) -> TypedGraph:
    """A store that `GraphStore.to_pyg` or `to_dgl` made an object of.

    Raises UserError if the graph has other types or numbers of nodes than the store had.
    """
    arrays, facts, ids = opened_beside(beside, parts.where)
    schema = GraphSchema.of_attrs(facts)
    sizes = {name: number for name, (number, _) in parts.nodes.items()}
    then = None if schema is None else dict(zip(schema.node_types, schema.sizes, strict=True))
    if schema is None or sizes != then or set(parts.edges) != set(schema.edge_types):
        raise UserError(
            f"{parts.where} has nodes {sizes}, but its attribute 'hvdtma' is of {then}, or of "
            "other edge types; delete it to build from the changed graph"
        )
    first = np.concatenate([[0], np.cumsum(schema.sizes)]).tolist()
    nodes = {
        name: NodesOfType(NodeIds(ids.values[start:stop]), _features(parts, name))
        for name, (start, stop) in zip(schema.node_types, pairwise(first), strict=True)
    }
    edges = {kind: parts.edges[kind][:2] for kind in schema.edge_types}
    graph = TypedGraph(nodes, edges, origin={"kind": "exported"})
    name, kind = schema.label_type, facts["label_kind"]
    if name is not None and parts.label in parts.nodes[name][1]:
        values = stored_label(as_array(parts.nodes[name][1][parts.label]), kind)
        add_labels(graph, name, NodeLabels(values, facts["label_names"], kind))
    if held_out := held_out_links(arrays):
        graph.link_split = held_out
    graph.node_split = node_parts(arrays)
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
