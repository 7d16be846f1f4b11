"""Read back a graph that `GraphStore.to_pyg` or `to_dgl` made of a store.

Legend: N nodes, E edges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import HELD_OUT_PARTS, PARTS
from hvdtma.graph.framework_objects import FACTS, NAMED
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.graph.sources.tensors import as_array
from hvdtma.graph.targets import UNKNOWN
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tables.features import checked_features


def raw_of_exported(
    beside: Mapping[str, Any],
    ends: tuple[Any, Any],
    where: str,
    *,
    feat: Any,
    label: Any = None,
    edge_type: Any = None,
    weight: Any = None,
) -> RawGraph:
    """The graph, with the ids, names and splits of the store.

    Args:
        beside: the attribute `hvdtma` of the object.
        ends: both ends of the edges [E]; of an undirected graph in both directions.
        where: the object, for messages.

    Raises UserError if ids or splits are of another number of nodes.
    """
    arrays, facts, ids = opened_beside(beside, where)
    src, dst = (as_array(end).astype(np.int64) for end in ends)
    feat_ND = as_array(feat)
    if len(feat_ND) != len(ids) or max(src.max(initial=-1), dst.max(initial=-1)) >= len(ids):
        raise UserError(
            f"{where} has {len(feat_ND)} nodes, but its attribute 'hvdtma' is of {len(ids)}; "
            "delete it to build from the changed graph"
        )
    once = src <= dst if facts["undirected"] else np.ones(len(src), bool)
    raw = RawGraph(
        src[once],
        dst[once],
        ids,
        edge_type=None if edge_type is None else as_array(edge_type).astype(np.int16)[once],
        weight=None if weight is None else as_array(weight).astype(np.float32)[once],
        feat=checked_features(feat_ND, f"the features of {where}"),
        origin={"kind": "exported"},
        **{name: facts[name] for name in NAMED},
    )
    if label is not None:
        raw.label = stored_label(as_array(label), raw.label_kind)
    if held_out := held_out_links(arrays):
        raw.link_split = {"train": Pairs(raw.src, raw.dst, edge_type=raw.edge_type), **held_out}
    raw.node_split = node_parts(arrays)
    return raw


def opened_beside(
    beside: Mapping[str, Any], where: str
) -> tuple[dict[str, np.ndarray], dict[str, Any], NodeIds]:
    """The arrays beside a graph, the facts about it, and its ids."""
    arrays = {name: as_array(values) for name, values in beside.items()}
    if FACTS not in arrays:
        raise UserError(f"'hvdtma' of {where} is not what GraphStore.to_pyg and to_dgl write")
    ids = NodeIds.from_arrays(
        {n.removeprefix("node_id/"): v for n, v in arrays.items() if n.startswith("node_id/")}
    )
    return arrays, json.loads(arrays[FACTS].tobytes()), ids


def node_parts(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The parts of a split of nodes; None without one."""
    nodes = {part: arrays.get(f"split/{part}/node") for part in PARTS}
    return {part: n for part, n in nodes.items() if n is not None} or None


def stored_label(label: np.ndarray, kind: str) -> np.ndarray:
    """Labels as a store has them, of an object's: unknown entries of several labels are NaN."""
    if kind != "multi":
        return label
    return np.where(np.isnan(label), UNKNOWN, np.nan_to_num(label)).astype(np.uint8)


def held_out_links(arrays: Mapping[str, np.ndarray]) -> dict[str, Pairs]:
    """The held-out links with their negatives; empty without any."""
    split = {}
    for part in HELD_OUT_PARTS:
        fields = {
            name: arrays[f"split/{part}/{name}"]
            for name in ("src", "dst", "neg", "edge_type")
            if f"split/{part}/{name}" in arrays
        }
        if fields:
            split[part] = Pairs(**fields)
    return split
