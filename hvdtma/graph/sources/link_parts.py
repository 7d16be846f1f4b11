"""Link splits that come with the objects of other frameworks.

Legend: E edges, n pairs of a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.graph.sources.edge_data import add_unused
from hvdtma.graph.sources.edge_lists import whole_numbers
from hvdtma.graph.sources.given_parts import PART_OF
from hvdtma.graph.sources.tensors import as_array

LABEL_KEYS = (
    "edge_label_index",
    "edge_label",
    "pos_edge_label_index",
    "pos_edge_label",
    "neg_edge_label_index",
    "neg_edge_label",
)
SPLIT_BY = "RandomLinkSplit"


def pairs_of(values: Any, num_nodes: int, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Both ends int64 [n] of pairs [2, n]; raises UserError for others and for unknown nodes."""
    ends = as_array(values)
    if ends.ndim != 2 or ends.shape[0] != 2:
        raise UserError(f"{label} has shape {list(ends.shape)}; valid: whole numbers [2, n]")
    src, dst = whole_numbers(ends)
    if ends.size and not 0 <= ends.min() <= ends.max() < num_nodes:
        raise UserError(
            f"{label} holds {ends.min()} to {ends.max()}; valid: 0 to {num_nodes - 1}, for "
            f"{num_nodes} nodes"
        )
    return src, dst


def labelled_pairs(
    given: Mapping[str, Any], num_nodes: int, where: str
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """The positive pairs of PyG's RandomLinkSplit, and the number of negative ones.

    None without pairs. Raises UserError for labels other than 0 and 1.
    """
    negative = given.get("neg_edge_label_index")
    num_negative = 0 if negative is None else as_array(negative).shape[-1]
    if "pos_edge_label_index" in given:
        label = f"'pos_edge_label_index' in {where}"
        return *pairs_of(given["pos_edge_label_index"], num_nodes, label), num_negative
    if "edge_label_index" not in given:
        return None
    src, dst = pairs_of(given["edge_label_index"], num_nodes, f"'edge_label_index' in {where}")
    kind = as_array(given.get("edge_label", np.ones(len(src))))
    if kind.shape != src.shape or not np.isin(kind, (0, 1)).all():
        raise UserError(
            f"'edge_label' in {where} has shape {list(kind.shape)} and other values than 0 and 1; "
            f"valid: 1 for a link and 0 for a negative, [{len(src)}]"
        )
    is_link = kind == 1
    return src[is_link], dst[is_link], int((~is_link).sum())


def refuse_pairs_of_one_part(given: Mapping[str, Any], where: str) -> None:
    """Raise UserError for labelled pairs in a single object: they are of an unknown part."""
    name = next((key for key in LABEL_KEYS if key.endswith("_index") and key in given), None)
    if name is None:
        return
    raise UserError(
        f"{where} has '{name}', which are the pairs of one part of a split; give all three parts, "
        f"from_pyg((train, valid, test)), as {SPLIT_BY} returns them, or delete it: "
        f"del data.{name}"
    )


def add_link_parts(
    raw: RawGraph, pairs: Mapping[str, tuple[np.ndarray, np.ndarray, int]], where: str
) -> None:
    """Set the link split; train pairs that are no edges yet become edges.

    Args:
        pairs: both ends of the links of each part, and the number of its negatives, which are not
            used: they belong to no link.

    Raises UserError for graphs with edge types, and for train pairs without a weight or a time.
    """
    if raw.edge_type is not None:
        raise UserError(
            f"{where}: the edges have types, but the pairs of the split have none; "
            "leave out edge_type, or give the splits as files (--splits)"
        )
    src, dst, _ = pairs["train"]
    new = ~np.isin(src * raw.num_nodes + dst, raw.src * raw.num_nodes + raw.dst)
    if new.any() and (raw.weight is not None or raw.time is not None):
        raise UserError(
            f"{where}: {new.sum()} train links are no edges, so their weights and times are not "
            "known; split with disjoint_train_ratio=0"
        )
    raw.src, raw.dst = np.r_[raw.src, src[new]], np.r_[raw.dst, dst[new]]
    raw.link_split = {part: Pairs(*pairs[part][:2]) for part in PARTS}
    add_unused(
        raw,
        [
            f"{pairs[part][2]:,} negative pairs of {part} (negatives are drawn for each link)"
            for part in PARTS
            if pairs[part][2]
        ],
    )


def named_parts(given: Mapping[str, Any], num_nodes: int, where: str) -> dict[str, Any]:
    """The pairs of `train_pos_edge_index` and others, as PyG's train_test_split_edges names them.

    Returns values as `add_link_parts` takes them, by part; empty without any. Raises UserError if a
    part is missing.
    """
    found: dict[str, Any] = {}
    for name, part in PART_OF.items():
        if f"{name}_pos_edge_index" not in given:
            continue
        label = f"'{name}_pos_edge_index' in {where}"
        negative = given.get(f"{name}_neg_edge_index")
        num_negative = 0 if negative is None else as_array(negative).shape[-1]
        pairs = pairs_of(given[f"{name}_pos_edge_index"], num_nodes, label)
        found[part] = (*pairs, num_negative)
    require_all(list(found), "pairs", where)
    return found


def names_of_parts() -> list[str]:
    """The names that `named_parts` reads."""
    return [f"{name}_{kind}_edge_index" for name in PART_OF for kind in ("pos", "neg")]


def split_edges(raw: RawGraph, parts: Mapping[str, np.ndarray], where: str) -> None:
    """Set the link split of edges by their numbers; only train edges stay in the graph.

    Edges in no part are left out, and counted. Raises UserError if a part is missing.
    """
    require_all(list(parts), "edges", where)
    if not parts:
        return
    split = {}
    for part in PARTS:
        types = None if raw.edge_type is None else raw.edge_type[parts[part]]
        split[part] = Pairs(raw.src[parts[part]], raw.dst[parts[part]], edge_type=types)
    left = len(raw.src) - sum(map(len, parts.values()))
    if left:
        add_unused(raw, [f"{left:,} edges that are in no part of the split"])
    train = parts["train"]
    for name in ("src", "dst", "edge_type", "weight", "time"):
        values = getattr(raw, name)
        setattr(raw, name, None if values is None else values[train])
    raw.link_split = split


def require_all(found: list[str], unit: str, where: str) -> None:
    """Raise UserError if there is a split of links, but not all of its parts."""
    missing = [part for part in PARTS if part not in found]
    if found and missing:
        raise UserError(
            f"{where} has a split of {unit} without {' and '.join(missing)}; give all three parts, "
            "or delete the others to let the build hold out links"
        )
