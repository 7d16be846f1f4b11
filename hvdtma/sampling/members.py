"""Membership of nodes in a group, in time that depends on the group and not on the graph.

Legend: n nodes of the graph.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_of_thread = threading.local()


@contextmanager
def marked(nodes: np.ndarray, num_nodes: int) -> Iterator[np.ndarray]:
    """Bool [n]: whether each node is one of `nodes`, until the block ends.

    Each thread has one array of zeros, and only the members' places are written before and after
    use: a new array for each batch would cost time and memory in proportion to n.
    """
    is_member = getattr(_of_thread, "is_member", None)
    if is_member is None or len(is_member) < num_nodes:
        is_member = np.zeros(num_nodes, bool)
    _of_thread.is_member = None  # a group inside of another group gets an array of its own
    is_member[nodes] = True
    try:
        yield is_member[:num_nodes]
    finally:
        is_member[nodes] = False
        _of_thread.is_member = is_member
