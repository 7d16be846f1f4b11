"""Messages that go forward in time only: from u to v if u is not later than v.

With nodes held out by time, a node is scored as if it had just come: all that it hears of is as
old as itself or older, over any number of hops. An undirected edge stays in the directions that
are allowed; between nodes of one time these are both.

Legend: N nodes, E edges.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from hvdtma.graph.sort.batches import EdgeBatch
from hvdtma.graph.source import NO_TIME


@dataclass
class ForwardMessages:
    """Leaves out messages from later to earlier nodes.

    Attributes:
        time_N: int64 [N]; a node without a time (`NO_TIME`) may send and get any message.
        mirror: whether an edge stands for both directions.
        num_dropped: the number of messages left out.
    """

    time_N: np.ndarray
    mirror: bool
    num_dropped: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def kept(self, batches: Iterable[Callable[[], EdgeBatch]]) -> Iterator[Callable[[], EdgeBatch]]:
        """The batches in single directions, without messages from the future."""
        for batch in batches:
            yield partial(self._kept, batch)

    def _kept(self, batch: Callable[[], EdgeBatch]) -> EdgeBatch:
        edges = batch()
        if self.mirror:
            edges = _both_directions(edges)
        sent, heard = self.time_N[edges.src], self.time_N[edges.dst]
        forward_E = (sent <= heard) | (heard == NO_TIME)  # NO_TIME is below all times
        with self.lock:
            self.num_dropped += len(forward_E) - int(forward_E.sum())
        return edges.take(forward_E)


def _both_directions(edges: EdgeBatch) -> EdgeBatch:
    """Every edge in both directions; a self-loop once."""
    back = edges.take(edges.src != edges.dst)
    back = back._replace(src=back.dst, dst=back.src)
    return EdgeBatch._make(
        None if there is None else np.concatenate([there, other])
        for there, other in zip(edges, back, strict=True)
    )
