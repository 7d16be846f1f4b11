"""What `hvdtma info` and the end of a build say, and how much they read for it."""

import numpy as np

from hvdtma.graph import stream
from hvdtma.graph.describe import description
from hvdtma.graph.store import GraphStore


def test_degrees_are_those_of_all_nodes(typed_store):
    degree = np.diff(typed_store.read("indptr"))
    median, high = np.percentile(degree, [50, 99], method="lower")
    assert description(typed_store)["in-degree"] == (
        f"mean {degree.mean():.1f}, median {median}, 99th percentile {high}, "
        f"largest {degree.max()}; {np.mean(degree == 0):.1%} of nodes have none"
    )


def test_only_pieces_of_a_store_are_read_to_describe_it(typed_store, monkeypatch):
    """A build ends with this: negatives alone may be larger than its limit."""
    read, most = GraphStore.read, {}

    def counting(store, name, start=0, stop=None, out=None):
        rows = read(store, name, start, stop, out)
        most[name] = max(len(rows), most.get(name, 0))
        return rows

    monkeypatch.setattr(GraphStore, "read", counting)
    monkeypatch.setattr(stream, "NODES_PER_PIECE", 50)
    description(GraphStore(typed_store.path))
    assert most["indptr"] == 51
    assert set(most) == {"indptr", "edge_type", "block_offsets"}
