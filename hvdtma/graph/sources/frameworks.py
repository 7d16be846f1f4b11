"""Graphs of other frameworks: a DGLGraph, a PyG `Data`.

Neither framework is imported: any object with the same attributes will do.

Legend: N nodes, E edges, D features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from hvdtma.core.errors import UserError
from hvdtma.graph.label_values import targets_of
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.targets import has_label
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.columns import encode_types
from hvdtma.tables.features import checked_features

_MASKS = {"train": ("train_mask",), "valid": ("val_mask", "valid_mask"), "test": ("test_mask",)}


def from_dgl(graph: Any, *, undirected: bool = False, label_kind: str | None = None) -> RawGraph:
    """A graph from a homogeneous DGLGraph; node ids are 0 .. N-1.

    Optional, in `ndata`: `feat` [N, D], `label` [N] or [N, C], `train_mask`, `val_mask` and
    `test_mask` bool [N]; in `edata`: `etype` [E].

    Args:
        label_kind: `class`, `multi` or `real`; None: chosen by the values
            (`hvdtma.graph.label_values`).

    Raises UserError for graphs with several types of nodes or edges,
    and for features, labels and masks of a wrong shape or type.
    """
    if not graph.is_homogeneous:
        raise UserError("the DGLGraph has several types; convert it with dgl.to_homogeneous first")
    src, dst = (_array(end) for end in graph.edges(order="eid"))
    edge_data = dict(graph.edata)
    raw = _graph(int(graph.num_nodes()), src, dst, edge_data.get("etype"), undirected, "dgl")
    _add_node_data(raw, dict(graph.ndata), "feat", "label", "ndata of the DGLGraph", label_kind)
    return raw


def from_pyg(data: Any, *, undirected: bool = False, label_kind: str | None = None) -> RawGraph:
    """A graph from a PyG `Data`; node ids are 0 .. N-1.

    Reads `edge_index` [2, E]; optional: `x` [N, D], `y` [N] or [N, C], `edge_type` [E],
    `train_mask`, `val_mask` and `test_mask` bool [N].

    Args:
        label_kind: see `from_dgl`.

    Raises UserError for other data (HeteroData, `adj_t`
    alone), and for features, labels and masks of a wrong shape or type.
    """
    edge_index = getattr(data, "edge_index", None)
    if edge_index is None:
        raise UserError(
            "the PyG data has no edge_index; valid: a homogeneous Data (see to_homogeneous())"
        )
    src, dst = _array(edge_index)
    names = ("x", "y", *(name for names in _MASKS.values() for name in names))
    given = {name: getattr(data, name, None) for name in names}
    types = getattr(data, "edge_type", None)
    raw = _graph(int(data.num_nodes), src, dst, types, undirected, "pyg")
    given = {name: value for name, value in given.items() if value is not None}
    _add_node_data(raw, given, "x", "y", "PyG data", label_kind)
    return raw


def _graph(
    num_nodes: int, src: np.ndarray, dst: np.ndarray, types: Any, undirected: bool, kind: str
) -> RawGraph:
    src, dst = src.astype(np.int64), dst.astype(np.int64)
    ids = NodeIds.counted(num_nodes)
    raw = RawGraph(src, dst, ids, undirected=undirected, origin={"kind": kind})
    if types is not None:
        edge_type = _array(types)
        if edge_type.shape != src.shape or edge_type.dtype.kind not in "iu":
            raise UserError(f"edge types of shape {list(edge_type.shape)}; valid: integers [E]")
        raw.edge_type_names, (raw.edge_type,) = encode_types([pa.array(edge_type)])
    return raw


def _add_node_data(
    raw: RawGraph,
    given: dict[str, Any],
    feat: str,
    label: str,
    where: str,
    label_kind: str | None,
) -> None:
    for name, value in given.items():
        if name in (feat, label) or name.endswith("_mask"):
            _check_length(name, len(value), raw.num_nodes, where)
    if feat in given:
        raw.feat = checked_features(_array(given[feat]), f"'{feat}' in {where}")
    if label in given:
        _add_labels(raw, _array(given[label]), f"'{label}' in {where}", label_kind)
    masks = {
        part: next((given[name] for name in names if name in given), None)
        for part, names in _MASKS.items()
    }
    if all(mask is not None for mask in masks.values()):
        raw.node_split = {part: _nodes_of(mask, part, where) for part, mask in masks.items()}


def _add_labels(raw: RawGraph, values: np.ndarray, where: str, kind: str | None) -> None:
    raw.label, raw.label_names, raw.label_kind = targets_of(values, where, kind=kind)
    raw.counts["nodes_without_label"] = int((~has_label(raw.label, raw.label_kind)).sum())


def _nodes_of(mask: Any, part: str, where: str) -> np.ndarray:
    mask_N = _array(mask)
    if mask_N.ndim != 1:
        raise UserError(
            f"the {part} mask in {where} has shape {list(mask_N.shape)}; choose one split, [N]"
        )
    return np.flatnonzero(mask_N)


def _check_length(name: str, length: int, num_nodes: int, where: str) -> None:
    if length != num_nodes:
        raise UserError(f"'{name}' in {where} has {length} rows; the graph has {num_nodes} nodes")


def _array(values: Any) -> np.ndarray:
    """An array or a tensor of any device as a NumPy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy lacks it
            values = values.float()
    return np.asarray(values)
