"""The times of a source during a build: checks, and the passes that use them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from hvdtma.core.console import progress
from hvdtma.core.errors import UserError
from hvdtma.graph.builder.budget import bytes_for_keys, max_pairs
from hvdtma.graph.builder.check import checked_batches
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.message_order import ForwardMessages
from hvdtma.graph.sort.batches import EdgeBatch
from hvdtma.graph.source import Source, check_node_time, is_timed, node_time_of
from hvdtma.graph.time_split import LinksByTime, links_by_time


def check_times(source: Source, options: BuildOptions) -> None:
    """Raise UserError if the source lacks the times of the split, or has a split of its own."""
    time_N = node_time_of(source)
    if time_N is not None:
        check_node_time(time_N, source.num_nodes)
    if options.split != "time":
        return
    if source.link_split is not None or source.node_split is not None:
        raise UserError(
            "the graph comes with its own split, which --split time would replace; leave out "
            "--split, or the given split"
        )
    if options.hold_out == "links" and not is_timed(source):
        raise UserError(
            "--split time needs the time of every edge, and the edges have none; give --time-column"
            " (in a data source: `timed` and batches with times)"
        )
    if options.hold_out == "nodes" and time_N is None:
        raise UserError(
            "--hold-out nodes --split time needs the times of the nodes, and there are none; give "
            "them with the labels (in a data source: `node_time`), or hold out links"
        )
    if options.hold_out == "nodes" and source.feat is None:
        raise UserError(
            "--hold-out nodes --split time needs features: those that are made from the graph "
            "would tell earlier nodes of later ones; give --features"
        )


def forward_messages(source: Source, options: BuildOptions) -> ForwardMessages | None:
    """The filter of messages for nodes that are held out by time; None for other splits."""
    time_N = node_time_of(source)
    if options.split != "time" or options.hold_out != "nodes" or time_N is None:
        return None
    return ForwardMessages(time_N, mirror=source.undirected)


def latest_links(
    source: Source, options: BuildOptions, folder: Path, available: int, seed: int
) -> LinksByTime | None:
    """The links that are held out by time, for which all edges are read; None for other splits.

    Args:
        folder: for temporary files.
        available: the memory to sort in.
    """
    if options.split != "time" or options.hold_out != "links":
        return None
    with progress("finding the latest links", source.num_edges, "edges") as advance:
        return links_by_time(
            checked_batches(source),
            source.num_nodes,
            source.num_edges,
            valid=options.valid,
            test=options.test,
            seed=seed,
            directed=not source.undirected,
            max_pairs=max_pairs(available),
            folder=folder,
            memory_bytes=bytes_for_keys(available),
            advance=advance,
        )


@dataclass
class TimeRange:
    """The first and the last time of all edges; None before any."""

    first: int | None = None
    last: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def kept(self, batches: Iterable[Callable[[], EdgeBatch]]) -> Iterator[Callable[[], EdgeBatch]]:
        """The batches themselves; their times are noted when they are read."""
        for batch in batches:
            yield partial(self._kept, batch)

    def _kept(self, batch: Callable[[], EdgeBatch]) -> EdgeBatch:
        edges = batch()
        if edges.time is not None and len(edges.time):
            first, last = int(np.min(edges.time)), int(np.max(edges.time))
            with self.lock:
                self.first = first if self.first is None else min(first, self.first)
                self.last = last if self.last is None else max(last, self.last)
        return edges

    def as_attribute(self) -> dict[str, object] | None:
        """The store's attribute `times`; None without times."""
        if self.first is None:
            return None
        return {"of": "edges", "first": self.first, "last": self.last}
