"""Graphs of other frameworks: a DGLGraph, a PyG `Data`; typed ones in `typed_frameworks`.

Neither framework is imported: any object with the same attributes will do. Splits that come with
an object are kept or refused. Attributes that are not used are printed.

Legend: N nodes, E edges, D features.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.framework_objects import BESIDE
from hvdtma.graph.label_values import targets_of
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.sources import link_parts
from hvdtma.graph.sources.edge_data import keep_one_direction, note_unused, times_of, weights_of
from hvdtma.graph.sources.edge_lists import edge_types, graph_ids, matrix_edges
from hvdtma.graph.sources.exported import raw_of_exported
from hvdtma.graph.sources.given_parts import (
    EDGE_MASK,
    EDGE_PART,
    NODE_PART,
    parts_of,
    parts_of_dict,
)
from hvdtma.graph.sources.tensors import as_array, as_csr, is_sparse, num_rows
from hvdtma.graph.sources.typed_frameworks import from_hetero_dgl, from_hetero_pyg
from hvdtma.graph.targets import has_label
from hvdtma.graph.typed.source import TypedGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.features import checked_features

Ids = Any  # integers or strings [N], of a typed graph by node type; or None
Given = Mapping[str, Any]
PYG, DGL_NODES, DGL_EDGES = "PyG data", "ndata of the DGLGraph", "edata of the DGLGraph"


def from_dgl(
    graph: Any,
    *,
    undirected: bool = False,
    ids: Ids = None,
    split_idx: Given | None = None,
    label_kind: str | None = None,
    beside: Given | None = None,
) -> RawGraph | TypedGraph:
    """A graph from a DGLGraph; one with several types is read by `from_hetero_dgl`.

    Optional, in `ndata`: `feat` [N, D], `label` [N], `time` or `node_time` [N], and masks such as
    `train_mask`, `val_mask` and `test_mask` [N]; in `edata`: `etype` [E] (or `_TYPE`, of
    dgl.to_homogeneous), `weight` or `edge_weight` [E], `time` or `edge_time` [E], and masks [E] of
    a split of links. Other data are not used, and are printed.

    Args:
        undirected: whether an edge stands for both directions.
        ids: integers or strings [N], of a typed graph by node type; None: 0 .. N-1.
        split_idx: the nodes of `train`, `valid` and `test`, as OGB's get_idx_split() returns them.
        label_kind: `class`, `multi` or `real`; None: chosen by the values
            (`hvdtma.graph.label_values`).
        beside: the tensors that `hvdtma export --to dgl` saved with a graph, as `dgl.load_graphs`
            returns them; None: the graph's attribute `hvdtma`, if `GraphStore.to_dgl` made it.

    Raises UserError for data of a wrong shape or type, and for a node in two parts of the split.
    """
    if not graph.is_homogeneous:
        options = _typed_options(undirected, ids, split_idx, label_kind)
        return from_hetero_dgl(graph, beside, **options)
    src, dst = (as_array(end).astype(np.int64) for end in graph.edges(order="eid"))
    if beside := beside or getattr(graph, BESIDE, None):
        data = {**graph.ndata, **graph.edata}
        return raw_of_exported(
            beside,
            (src, dst),
            "the DGLGraph",
            feat=data["feat"],
            label=data.get("label"),
            edge_type=data.get("etype"),
            weight=data.get("weight"),
        )
    raw = RawGraph(
        src,
        dst,
        graph_ids(ids, int(graph.num_nodes())),
        undirected=undirected,
        origin={"kind": "dgl"},
    )
    nodes, edges = dict(graph.ndata), dict(graph.edata)
    types = "etype" if "etype" in edges else "_TYPE"
    used = _add_edge_data(
        raw, edges, types, ("weight", "edge_weight"), ("time", "edge_time"), DGL_EDGES
    )
    parts, masks = parts_of(edges, EDGE_PART, len(src), "edge", DGL_EDGES)
    link_parts.split_edges(raw, parts, DGL_EDGES)
    note_unused(raw, edges, used | masks)
    used = _add_node_data(
        raw, nodes, "feat", "label", ("time", "node_time"), split_idx, DGL_NODES, label_kind
    )
    note_unused(raw, nodes, used)
    keep_one_direction(raw)
    return raw


def from_pyg(
    data: Any,
    *,
    undirected: bool = False,
    ids: Ids = None,
    split_idx: Given | None = None,
    label_kind: str | None = None,
) -> RawGraph | TypedGraph:
    """A graph from a PyG `Data`, or from the three of a link split; or from a `HeteroData`.

        hvdtma.build("cora.zarr", from_pyg(data), hold_out="nodes")
        hvdtma.build("links.zarr", from_pyg(RandomLinkSplit()(data)))

    Reads `edge_index` [2, E], or else `adj_t` or `adj`; optional: `x` [N, D], dense or sparse, `y`
    [N], `edge_type` [E], `edge_weight` [E], `edge_time` [E] and `node_time` [N] (or `time`, of
    either length), and the parts of a split of nodes: masks [N] such as `train_mask`, `val_mask`
    and `test_mask`, index arrays such as `train_idx`, or a dict `split_idx`. Other data are not
    used, and are printed. `TemporalData` is read as edges with times.

    Args:
        data: a `Data`; or train, valid and test, as RandomLinkSplit returns them: the edges of
            train are the training graph, and the links of the other two are held out.
        undirected: whether an edge stands for both directions.
        ids: integers or strings [N], of a typed graph by node type; None: 0 .. N-1.
        split_idx: the nodes of `train`, `valid` and `test`, as OGB's get_idx_split() returns them.
        label_kind: see `from_dgl`.

    Raises UserError for other data (several graphs), for data of a wrong shape or type, for a node
    in two parts of the split, and for a link split of which parts are missing.
    """
    if _is_hetero(data):
        return from_hetero_pyg(data, **_typed_options(undirected, ids, split_idx, label_kind))
    parts = _three_parts(data)
    data = data if parts is None else parts["train"]
    given = _attributes(data)
    if BESIDE in given:
        return raw_of_exported(
            given[BESIDE],
            tuple(given["edge_index"]),
            PYG,
            feat=given["x"],
            label=given.get("y"),
            edge_type=given.get("edge_type"),
            weight=given.get("edge_weight"),
        )
    if parts is None:
        link_parts.refuse_pairs_of_one_part(given, PYG)
    num_nodes = _num_nodes(data, given)
    node_id = graph_ids(ids, num_nodes)
    raw, used = _pyg_edges(given, node_id, undirected)
    temporal = "dst" in used  # a TemporalData, whose data are all of edges
    times = ("edge_time", "t") if temporal else ("edge_time",)
    used |= _add_edge_data(raw, given, "edge_type", ("edge_weight",), times, PYG)
    if "time" in given:
        used.add("time")
        _add_time(raw, given["time"])
    edge_parts, masks = parts_of(given, EDGE_MASK, raw.num_edges, "edge", PYG)
    link_parts.split_edges(raw, edge_parts, PYG)
    if parts is not None:
        _add_labelled_pairs(raw, parts, num_nodes)
        used.update(link_parts.LABEL_KEYS)
    elif pairs := link_parts.named_parts(given, num_nodes, PYG):
        link_parts.add_link_parts(raw, pairs, PYG)
    of_nodes = {} if temporal else given
    used |= _add_node_data(raw, of_nodes, "x", "y", ("node_time",), split_idx, PYG, label_kind)
    note_unused(raw, given, used | masks)
    keep_one_direction(raw)
    return raw


def _attributes(data: Any) -> dict[str, Any]:
    """The attributes of a PyG object that are set."""
    if _is_hetero(data):
        raise UserError(f"one of the graphs is a {type(data).__name__}; give it alone")
    stored = data.to_dict() if hasattr(data, "to_dict") else vars(data)
    return {name: value for name, value in stored.items() if value is not None}


def _is_hetero(data: Any) -> bool:
    """Whether an object is a `HeteroData` of PyG."""
    return hasattr(data, "node_types") and hasattr(data, "edge_types")


def _typed_options(
    undirected: bool, ids: Any, split_idx: Given | None, label_kind: str | None
) -> dict[str, Any]:
    """The options of a typed graph; raises UserError for ids that are not by node type."""
    if split_idx is not None:
        raise UserError("split_idx is for graphs with one node type; give masks of the node type")
    if ids is not None and not isinstance(ids, Mapping):
        raise UserError("ids of a typed graph are by node type: ids={'user': [...]}")
    return {"undirected": undirected, "ids": ids, "label_kind": label_kind}


def is_several(data: Any) -> bool:
    """Whether an object is a list of `Data`, or a dataset of PyG."""
    return isinstance(data, list | tuple) or (hasattr(data, "get") and hasattr(data, "len"))


def _three_parts(data: Any) -> dict[str, Any] | None:
    """The `Data` of train, valid and test of a link split; None for a single `Data`."""
    if not is_several(data):
        return None
    several = list(data) if len(data) <= len(PARTS) else []
    if len(several) == len(PARTS):
        given = [_attributes(one) for one in several]
        if all({"edge_label_index", "pos_edge_label_index"} & set(one) for one in given):
            return dict(zip(PARTS, several, strict=True))
    raise UserError(
        f"a {type(data).__name__} of {len(data)} graphs; give one of them, such as data[0], or the "
        f"train, valid and test data of {link_parts.SPLIT_BY}, which have edge_label_index"
    )


def _num_nodes(data: Any, given: Given) -> int:
    """N: as the object says, else the rows of a matrix, else the largest number in the edges."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyG warns where it has edges only to count from
        stated = getattr(data, "num_nodes", None)
    if stated is not None:
        return int(stated)
    for name in ("x", "adj_t", "adj"):
        if name in given:
            return num_rows(given[name])
    names = ("edge_index", "src", "dst", *link_parts.names_of_parts())
    ends = [as_array(given[name]) for name in names if name in given]
    return max((int(end.max()) + 1 for end in ends if end.size), default=0)


def _pyg_edges(given: Given, node_id: NodeIds, undirected: bool) -> tuple[RawGraph, set[str]]:
    """The edges, and the attributes that they are from."""
    num_nodes, weight, zeros = len(node_id), None, 0
    if "edge_index" in given:
        used = {"edge_index"}
        src, dst = link_parts.pairs_of(given["edge_index"], num_nodes, f"'edge_index' in {PYG}")
    elif name := next((n for n in ("adj_t", "adj") if n in given), None):
        used = {name}
        src, dst, weight, zeros = matrix_edges(given[name], f"'{name}' in {PYG}")
        if name == "adj_t":  # row: the destination
            src, dst = dst, src
    elif "src" in given and "dst" in given:
        used = {"src", "dst"}
        src, dst = (as_array(given[name]).astype(np.int64) for name in ("src", "dst"))
    elif link_parts.named_parts(given, num_nodes, PYG):
        used, src, dst = set(), np.zeros(0, np.int64), np.zeros(0, np.int64)
    else:
        raise UserError(
            "the PyG data has no edge_index; valid: a homogeneous Data (see to_homogeneous()) with "
            "edge_index, adj_t or adj"
        )
    raw = RawGraph(src, dst, node_id, undirected=undirected, origin={"kind": "pyg"}, weight=weight)
    raw.counts["zeros_in_adjacency"] = zeros
    return raw, {*used, "num_nodes", *link_parts.names_of_parts()}


def _add_labelled_pairs(raw: RawGraph, parts: Given, num_nodes: int) -> None:
    """The link split of RandomLinkSplit."""
    pairs = {}
    for part, one in parts.items():
        found = link_parts.labelled_pairs(_attributes(one), num_nodes, f"the {part} {PYG}")
        assert found is not None
        pairs[part] = found
    link_parts.add_link_parts(raw, pairs, PYG)


def _add_edge_data(
    raw: RawGraph,
    given: Given,
    types: str,
    weights: Iterable[str],
    times: Iterable[str],
    where: str,
) -> set[str]:
    """Set types, weights and times of edges; return the names of the attributes in use."""
    num_edges, used = len(raw.src), set()
    if types in given:
        raw.edge_type_names, raw.edge_type = edge_types(given[types], num_edges)
        used.add(types)
    if name := _one_of(given, weights, where):
        if raw.weight is not None:
            raise UserError(
                f"'{name}' in {where} and the values of its adjacency are both weights;"
                " delete one of them"
            )
        raw.weight = weights_of(given[name], num_edges, f"'{name}' in {where}")
        used.add(name)
    if name := _one_of(given, times, where):
        raw.time = times_of(given[name], num_edges, f"'{name}' in {where}")
        used.add(name)
    return used


def _one_of(given: Given, names: Iterable[str], where: str) -> str | None:
    """The one name that is given, or None; raises UserError for several."""
    found = [name for name in names if name in given]
    if len(found) > 1:
        raise UserError(f"{where} has {' and '.join(found)}; delete one of them")
    return found[0] if found else None


def _add_time(raw: RawGraph, time: Any) -> None:
    """The attribute `time` of PyG, which belongs to nodes or to edges by its length."""
    length = num_rows(time)
    if raw.num_nodes == raw.num_edges == length:
        raise UserError(
            f"'time' in {PYG} may be of the {length} nodes or of the {length} edges; "
            "name it node_time or edge_time"
        )
    if length == raw.num_nodes:
        raw.node_time = times_of(time, length, f"'time' in {PYG}", may_lack=True)
    elif raw.time is not None:
        raise UserError(f"{PYG} have time and edge_time; delete one of them")
    else:
        raw.time = times_of(time, raw.num_edges, f"'time' in {PYG}")


def _add_node_data(
    raw: RawGraph,
    given: Given,
    feat: str,
    label: str,
    times: Iterable[str],
    split_idx: Given | None,
    where: str,
    label_kind: str | None,
) -> set[str]:
    """Set features, labels, times and the split of nodes; return the attributes in use."""
    num_nodes, used = raw.num_nodes, set()
    if feat in given:
        _check_length(feat, given[feat], num_nodes, where)
        rows = as_csr(given[feat]) if is_sparse(given[feat]) else as_array(given[feat])
        raw.feat = checked_features(rows, f"'{feat}' in {where}")
        used.add(feat)
    if label in given:
        _check_length(label, given[label], num_nodes, where)
        values, origin = as_array(given[label]), f"'{label}' in {where}"
        raw.label, raw.label_names, raw.label_kind = targets_of(values, origin, kind=label_kind)
        raw.counts["nodes_without_label"] = int((~has_label(raw.label, raw.label_kind)).sum())
        used.add(label)
    if name := _one_of(given, times, where):
        raw.node_time = times_of(given[name], num_nodes, f"'{name}' in {where}", may_lack=True)
        used.add(name)
    parts, masks = parts_of(given, NODE_PART, num_nodes, "node", where)
    raw.node_split = _with_dict(parts, given, split_idx, num_nodes, where) or None
    return used | masks | {"split_idx"}


def _with_dict(
    parts: dict[str, np.ndarray], given: Given, split_idx: Given | None, num: int, where: str
) -> dict[str, np.ndarray]:
    """The parts of masks and of a dict `split_idx`, of which only one may be given."""
    dicts = [split for split in (split_idx, given.get("split_idx")) if split is not None]
    if not dicts:
        return parts
    if parts or len(dicts) > 1:
        raise UserError(f"{where} has a split of nodes besides split_idx; delete one of them")
    return parts_of_dict(dicts[0], num, "split_idx")


def _check_length(name: str, rows: Any, num_nodes: int, where: str) -> None:
    if num_rows(rows) != num_nodes:
        raise UserError(
            f"'{name}' in {where} has {num_rows(rows)} rows; the graph has {num_nodes} nodes"
        )
