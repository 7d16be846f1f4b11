"""Check the batches of edges of a source, before compiled code indexes arrays with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.graph.sort.batches import EdgeBatch, LazyEdgeBatch, materialize
from hvdtma.graph.source import Source


def checked_batches(source: Source) -> Iterator[Callable[[], EdgeBatch]]:
    """The source's batches as functions that raise UserError for bad arrays."""
    num_nodes, num_types = source.num_nodes, len(source.edge_type_names)
    for batch in source.edge_batches():
        yield partial(_checked, batch, num_nodes, num_types)


def _checked(batch: LazyEdgeBatch, num_nodes: int, num_types: int) -> EdgeBatch:
    src, dst, types = materialize(batch)
    if (types is not None) != (num_types > 0):
        raise UserError(
            f"a batch of edges has {'no types' if types is None else 'types'}, but the source has "
            f"{num_types} edge_type_names"
        )
    arrays = {"src": (src, num_nodes), "dst": (dst, num_nodes)}
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
    return src, dst, types
