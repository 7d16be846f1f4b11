"""Weights and times of edges, and what of an object is not used.

Legend: N nodes, E edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.graph.raw import GraphData, RawGraph
from hvdtma.graph.sources.tensors import as_array, shape_text

NO_TIME = int(np.iinfo(np.int64).min)  # as NumPy stores "not a time"


def weights_of(values: Any, num_edges: int, label: str) -> np.ndarray:
    """Weights float32 [E] from [E] or [E, 1].

    Raises UserError for another shape or type, and for a weight that is not positive and finite.
    """
    weight_E = _column(values, num_edges, label)
    with np.errstate(over="ignore"):  # an overflow becomes infinite, which is refused below
        weight_E = weight_E.astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(weight_E) & (weight_E > 0)))
    if len(bad):
        raise UserError(
            f"{label}: the weight of edge {bad[0]} is {as_array(values).ravel()[bad[0]]}; weights "
            f"are positive and finite ({len(bad)} are not); leave out such edges, or the weights"
        )
    return weight_E


def times_of(values: Any, num: int, label: str, *, may_lack: bool = False) -> np.ndarray:
    """Times int64 [N] or [E], such as years or seconds since 1970; also from whole real numbers.

    Args:
        may_lack: whether NaN stands for no time, which is stored as `NO_TIME`.

    Raises UserError for another shape or type, and for times that are not whole or not finite.
    """
    given = _column(values, num, label)
    lacks = np.isnan(given) if may_lack and given.dtype.kind == "f" else np.zeros(num, bool)
    known = given[~lacks]
    if known.dtype.kind == "f":  # 2^63 itself is a real number, but no int64
        fits = (known >= -(2.0**63)) & (known < 2.0**63) & (known == np.floor(known))
    else:
        fits = np.ones(len(known), bool)
        if known.dtype == np.uint64:
            fits = known <= np.uint64(2**63 - 1)
    if not fits.all():
        raise UserError(
            f"{label} holds the time {known[~fits][0]}; times are whole numbers of 64 bits, such "
            "as years or seconds since 1970. For fractions, give milliseconds"
        )
    time = np.full(num, NO_TIME, np.int64)
    time[~lacks] = known.astype(np.int64)
    return time


def _column(values: Any, num: int, label: str) -> np.ndarray:
    array = as_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (num,) or array.dtype.kind not in "fiub":
        raise UserError(
            f"{label} has shape {list(array.shape)} and type {array.dtype}; valid: numbers [{num}]"
        )
    return array


def keep_one_direction(raw: RawGraph) -> None:
    """Keep one of the two entries of each link, if an undirected graph has every link both ways.

    An entry of a link both ways is no repeated edge, whose weights would be added up. Graphs
    without weights and times stay as they are. Raises UserError if the entries of a link differ.
    """
    if not raw.undirected or (raw.weight is None and raw.time is None):
        return
    fields = [v for v in (raw.edge_type, raw.weight, raw.time) if v is not None]
    there = np.lexsort((*fields[::-1], raw.dst, raw.src))
    back = np.lexsort((*fields[::-1], raw.src, raw.dst))
    mirrored = np.array_equal(raw.src[there], raw.dst[back]) and np.array_equal(
        raw.dst[there], raw.src[back]
    )
    if not mirrored:
        return  # links are in one direction, or in any: repeated ones are merged later
    for values in fields:
        differs = np.flatnonzero(values[there] != values[back])
        if len(differs):
            edge = there[differs[0]]
            raise UserError(
                f"the link of nodes {raw.src[edge]} and {raw.dst[edge]} has another weight, time "
                "or type in the other direction; leave out undirected=True, or make them equal"
            )
    kept = raw.src <= raw.dst
    for name in ("src", "dst", "edge_type", "weight", "time"):
        values = getattr(raw, name)
        setattr(raw, name, None if values is None else values[kept])


def note_unused(raw: GraphData, given: Mapping[str, Any], used: Iterable[str]) -> None:
    """Print the attributes that are not used with their shapes, and keep them in `raw.origin`.

    Numbers, text and None describe a graph and are not listed.
    """
    used = set(used)
    unused = {
        name: f"{name} {shape_text(value)}"
        for name, value in given.items()
        if name not in used and not isinstance(value, str | bytes | int | float | None)
    }
    add_unused(raw, list(unused.values()))


def add_unused(raw: GraphData, names: list[str]) -> None:
    """Print the names of data that are not used, and keep them in `raw.origin`."""
    if not names:
        return
    console.print(f"[yellow]not used:[/] {', '.join(names)}", markup=True, soft_wrap=True)
    known = raw.origin.setdefault("not_used", [])
    assert isinstance(known, list)
    known += names
    raw.counts["attributes_not_used"] = len(known)
