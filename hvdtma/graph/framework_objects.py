"""A store as an object of another framework, from which `from_pyg` and `from_dgl` read it back.

Splits, ids and the names of labels and types travel beside the graph, as the store's own arrays in
a dict of tensors: the attribute `hvdtma` of the object.

Legend: N nodes, E stored edges, D features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hvdtma.graph.csc import CSC
from hvdtma.graph.targets import UNKNOWN
from hvdtma.storage.node_ids import NodeIds

BESIDE = "hvdtma"  # the attribute
FACTS = "facts"  # JSON in bytes, among the arrays beside
NAMED = ("undirected", "label_names", "label_kind", "edge_type_names")
PARTS = {"train": "train", "valid": "val", "test": "test"}  # names of parts in both frameworks


class WholeGraph(Protocol):
    """What is read of a `GraphStore`."""

    @property
    def num_nodes(self) -> int: ...
    @property
    def array_names(self) -> list[str]: ...
    @property
    def label_kind(self) -> str: ...
    def read(self, name: str) -> np.ndarray: ...
    def rows(self, start: int, stop: int) -> CSC: ...
    def node_ids(self) -> NodeIds: ...
    def __contains__(self, name: object) -> bool: ...


def arrays_beside(store: WholeGraph) -> dict[str, np.ndarray]:
    """Ids, splits, and names as JSON."""
    names = [n for n in store.array_names if n.startswith(("split/", "node_id/"))]
    facts = json.dumps({name: getattr(store, name) for name in NAMED}).encode()
    return {FACTS: np.frombuffer(facts, np.uint8), **{name: store.read(name) for name in names}}


def to_pyg(store: WholeGraph) -> Any:
    """A PyG `Data`; see `GraphStore.to_pyg`."""
    import torch
    from torch_geometric.data import Data

    rows, beside = store.rows(0, store.num_nodes), arrays_beside(store)
    ends = np.stack([rows.indices.astype(np.int64), rows.destinations().astype(np.int64)])
    arrays = {"edge_index": ends, "x": store.read("feat"), **_edge_data(rows, "edge_weight")}
    arrays |= _node_data(store, beside, "y")
    for part, short in PARTS.items():
        if f"split/{part}/src" in beside:
            pair = [beside[f"split/{part}/{end}"].astype(np.int64) for end in ("src", "dst")]
            arrays[f"{short}_pos_edge_index"] = np.stack(pair)
    data = Data(**{name: torch.from_numpy(values) for name, values in arrays.items()})
    data.num_nodes = store.num_nodes
    data[BESIDE] = {name: torch.tensor(values) for name, values in beside.items()}
    ids = store.node_ids()
    data.node_id = ids.to_list() if ids.are_strings else torch.tensor(ids.to_list())
    return data


def to_dgl(store: WholeGraph) -> Any:
    """A DGLGraph; see `GraphStore.to_dgl`."""
    import torch

    from hvdtma.core.dgl_import import dgl

    rows, beside = store.rows(0, store.num_nodes), arrays_beside(store)
    ends = (torch.from_numpy(end.astype(np.int64)) for end in (rows.indices, rows.destinations()))
    graph = dgl.graph(tuple(ends), num_nodes=store.num_nodes)
    of_nodes = {"feat": store.read("feat"), **_node_data(store, beside, "label")}
    for name, values in of_nodes.items():
        graph.ndata[name] = torch.from_numpy(values)
    for name, values in _edge_data(rows, "weight").items():
        graph.edata["etype" if name == "edge_type" else name] = torch.from_numpy(values)
    if not store.node_ids().are_strings:
        graph.ndata["node_id"] = torch.from_numpy(beside["node_id/values"])
    setattr(graph, BESIDE, {name: torch.tensor(values) for name, values in beside.items()})
    return graph


def _edge_data(rows: CSC, weight: str) -> dict[str, np.ndarray]:
    found = {}
    if rows.edge_type is not None:
        found["edge_type"] = rows.edge_type.astype(np.int64)
    if rows.weight is not None:
        found[weight] = rows.weight
    return found


def shown_labels(values: np.ndarray, kind: str) -> np.ndarray:
    """Labels as other frameworks have them: unknown entries of several labels are NaN."""
    if kind != "multi":
        return values
    return np.where(values == UNKNOWN, np.float32(np.nan), values).astype(np.float32)


def _node_data(
    store: WholeGraph, beside: Mapping[str, np.ndarray], label: str
) -> dict[str, np.ndarray]:
    """Labels (unknown entries of several labels are NaN) and masks of a split of nodes."""
    found = {}
    if "label" in store:
        found[label] = shown_labels(store.read("label"), store.label_kind)
    for part, short in PARTS.items():
        if f"split/{part}/node" in beside:
            mask_N = np.zeros(store.num_nodes, bool)
            mask_N[beside[f"split/{part}/node"]] = True
            found[f"{short}_mask"] = mask_N
    return found
