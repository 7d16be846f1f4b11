"""The parts of a split that come with a graph: masks, index arrays, or a dict of index arrays.

Legend: N nodes or edges, n of a part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.split_parts import PARTS
from hvdtma.graph.sources.tensors import as_array

PART_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "valid"),
    "test": "test",
}
NODE_PART = re.compile(f"({'|'.join(PART_OF)})_(mask|idx|index|indices|nid)")
EDGE_MASK = re.compile(f"({'|'.join(PART_OF)})_edge_mask")
EDGE_PART = re.compile(f"({'|'.join(PART_OF)})_(?:edge_)?mask")


def parts_of(
    given: Mapping[str, Any], names: re.Pattern[str], num: int, unit: str, where: str
) -> tuple[dict[str, np.ndarray], set[str]]:
    """The parts of a split among the attributes of a graph.

    Args:
        given: attributes by name. A mask is [N] of bool, or of 0 and 1; an index array is [n].
        names: of the attributes that are masks or index arrays.
        num: N.
        unit: `node` or `edge`, for messages.
        where: the origin of the attributes, for messages.

    Returns the numbers of each part that is not empty, int64 and ascending, and the names of the
    attributes in use. Raises UserError for a wrong shape or type, for two different arrays of the
    same part, and for a node in two parts.
    """
    parts: dict[str, np.ndarray] = {}
    used: dict[str, str] = {}
    for name, value in given.items():
        match = names.fullmatch(name)
        if match is None:
            continue
        part, label = PART_OF[match[1]], f"'{name}' in {where}"
        numbers = members(value, num, unit, label, is_mask=name.endswith("mask"))
        if part in parts and not np.array_equal(parts[part], numbers):
            raise UserError(
                f"{where} has two {part} parts of {unit}s that differ, '{used[part]}' and "
                f"'{name}'; delete one of them"
            )
        parts[part], used[part] = numbers, name
    found = {part: parts[part] for part in PARTS if part in parts and len(parts[part])}
    refuse_overlap(found, unit, where)
    return found, {name for name in given if names.fullmatch(name)}


def parts_of_dict(split: Mapping[str, Any], num: int, where: str) -> dict[str, np.ndarray]:
    """The parts of a dict such as OGB's `get_idx_split()`: `train`, `valid` and `test`.

    Returns and raises as `parts_of`; also raises UserError for an unknown key.
    """
    for key in split:
        if key not in PART_OF:
            raise UserError(f"{where} has the key '{key}'; valid: {', '.join(PART_OF)}")
    named = {f"{key}_idx": value for key, value in split.items()}
    return parts_of(named, NODE_PART, num, "node", where)[0]


def members(value: Any, num: int, unit: str, label: str, *, is_mask: bool) -> np.ndarray:
    """The numbers int64 [n], ascending, that a mask [N] or an index array [n] selects.

    Raises UserError for another shape or type, numbers out of range, and a repeated one.
    """
    array = as_array(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise UserError(
            f"{label} has shape {list(array.shape)}; choose one split, [{num}], such as the first: "
            f"{label.split()[0].strip(chr(39))}[:, 0]"
        )
    if is_mask or array.dtype == bool:
        if len(array) != num:
            raise UserError(f"{label} has {len(array)} rows; the graph has {num} {unit}s")
        if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
            raise UserError(f"{label} is no mask; valid: true and false, or 0 and 1, [{num}]")
        return np.flatnonzero(array)
    if len(array) and array.dtype.kind not in "iu":
        raise UserError(f"{label} holds {array.dtype}; valid: whole numbers of {unit}s")
    array = np.sort(array.astype(np.int64))
    if len(array) and not 0 <= array[0] <= array[-1] < num:
        raise UserError(f"{label} holds {array[0]} to {array[-1]}; valid: 0 to {num - 1}")
    if (array[1:] == array[:-1]).any():
        repeated = array[:-1][array[1:] == array[:-1]][0]
        raise UserError(f"{label} names {unit} {repeated} twice")
    return array


def refuse_overlap(parts: Mapping[str, np.ndarray], unit: str, where: str) -> None:
    """Raise UserError, naming the first one, for a node or an edge in two parts."""
    names = list(parts)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            both = np.intersect1d(parts[one], parts[other], assume_unique=True)
            if len(both):
                raise UserError(
                    f"{where}: {unit} {both[0]} is in the split twice, in {one} and in {other} "
                    f"({len(both)} such {unit}s); make the parts disjoint"
                )
