"""The links of a typed graph that are held out and scored, and the sides of its edge types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.sides import SideRecorder
from hvdtma.graph.builder.typed_sides import TypedSides
from hvdtma.graph.sort.batches import EdgeBatch, materialize
from hvdtma.graph.source import Source
from hvdtma.graph.splits import LinkPicker
from hvdtma.graph.typed.source import TypedGraph


def sides_of(source: Source, options: BuildOptions) -> SideRecorder | None:
    """The recorder of a build; None without held-out links."""
    recorder = SideRecorder.of(source, options)
    if recorder is None or not isinstance(source, TypedGraph):
        return recorder
    return TypedSides(source.schema, source.first)


def scored_types(source: Source, options: BuildOptions) -> list[int] | None:
    """The numbers of the edge types whose links are held out; None: all types."""
    if not isinstance(source, TypedGraph):
        return None
    return source.schema.edge_type_numbers(options.target, "target")


def picked_from(
    batches: Iterable[Callable[[], EdgeBatch]], picker: LinkPicker, types: Sequence[int]
) -> Iterator[Callable[[], EdgeBatch]]:
    """The same batches; the picker chooses among their edges of these types."""

    def picked(batch: Callable[[], EdgeBatch]) -> EdgeBatch:
        edges = materialize(batch)
        assert edges.types is not None
        chosen = np.isin(edges.types, types)
        picker.add(edges.src[chosen], edges.dst[chosen])
        return edges

    for batch in batches:
        yield partial(picked, batch)
