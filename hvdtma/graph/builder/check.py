"""Check the batches of edges of a source, before compiled code indexes arrays with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.graph.sort.batches import EdgeBatch, LazyEdgeBatch, materialize
from hvdtma.graph.source import NO_TIME, Source, is_timed, is_weighted


def checked_batches(source: Source) -> Iterator[Callable[[], EdgeBatch]]:
    """The source's batches as functions that raise UserError for bad arrays."""
    for batch in source.edge_batches():
        yield partial(_checked, batch, source)


def _checked(batch: LazyEdgeBatch, source: Source) -> EdgeBatch:
    edges = materialize(batch)
    src, types = edges.src, edges.types
    num_nodes, num_types = source.num_nodes, len(source.edge_type_names)
    if (types is not None) != (num_types > 0):
        raise UserError(
            f"a batch of edges has {'no types' if types is None else 'types'}, but the source has "
            f"{num_types} edge_type_names"
        )
    arrays = {"src": (src, num_nodes), "dst": (edges.dst, num_nodes)}
    if types is not None:
        arrays["types"] = (types, num_types)
    for name, (values, end) in arrays.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu":
            raise UserError(f"{name} of a batch of edges is not an array of integers")
        if values.shape != (len(src),):
            raise UserError(f"{name} of a batch of {len(src)} edges has shape {values.shape}")
        if len(values) and not 0 <= values.min() <= values.max() < end:
            raise UserError(
                f"{name} of a batch of edges holds {values.min()} to {values.max()}; "
                f"valid: 0 to {end - 1}"
            )
    for name, expected in (("weight", is_weighted(source)), ("time", is_timed(source))):
        if (getattr(edges, name) is not None) != expected:
            has, says = ("no", "true") if expected else ("a", "false")
            said = {"weight": "weighted", "time": "timed"}[name]
            raise UserError(f"a batch of edges has {has} {name}; the source's `{said}` is {says}")
    weight = None if edges.weight is None else _checked_weights(edges, source)
    time = None if edges.time is None else _checked_times(edges, source)
    return EdgeBatch(src, edges.dst, types, weight, time)


def _checked_weights(edges: EdgeBatch, source: Source) -> np.ndarray:
    """The weights in single precision; the error for a bad one names its edge."""
    given = _values(edges, "weight", "iuf", "numbers")
    with np.errstate(over="ignore"):
        weight = given.astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight > 0)))
    if len(bad):
        raise UserError(
            f"{_named(edges, source, bad[0])} has the weight {given[bad[0]]}; a weight must be "
            "above 0 and finite, in single precision. Remove such edges, or change their weights"
        )
    return weight


def _named(edges: EdgeBatch, source: Source, number: int) -> str:
    """An edge of a batch in the user's ids."""
    ids = source.node_id
    return f"the edge from {ids[edges.src[number]]!r} to {ids[edges.dst[number]]!r}"


def _checked_times(edges: EdgeBatch, source: Source) -> np.ndarray:
    """The times as int64; the error for a missing one names its edge."""
    time = _values(edges, "time", "iu", "integers, such as years or seconds since 1970")
    if len(time) and time.max() > np.iinfo(np.int64).max:
        raise UserError(f"a time of an edge is {time.max()}; times must fit 64 bits with a sign")
    time = time.astype(np.int64, copy=False)
    missing = np.flatnonzero(time == NO_TIME)
    if len(missing):
        raise UserError(
            f"{_named(edges, source, missing[0])} has no time ({NO_TIME}); every edge needs one. "
            "Remove such edges, or leave out the times"
        )
    return time


def _values(edges: EdgeBatch, name: str, kinds: str, valid: str) -> np.ndarray:
    """The weights or times of a batch. Raises UserError for a wrong type or length."""
    values = getattr(edges, name)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds:
        kind = getattr(values, "dtype", type(values).__name__)
        raise UserError(f"{name} of a batch of edges is {kind}; valid: {valid}")
    if values.shape != (len(edges.src),):
        raise UserError(f"{name} of a batch of {len(edges.src)} edges has shape {values.shape}")
    return values
