"""What `hvdtma info` and the end of a build say, and how much they read for it."""

import tracemalloc

import numpy as np

from hvdtma.graph import describe, stream
from hvdtma.graph.describe import description
from hvdtma.graph.store import GraphStore


def test_degrees_are_those_of_all_nodes(typed_store):
    degree = np.diff(typed_store.read("indptr"))
    median, high = np.percentile(degree, [50, 99], method="lower")
    assert description(typed_store)["in-degree"] == (
        f"mean {degree.mean():.1f}, median {median}, 99th percentile {high}, "
        f"largest {degree.max()}; {np.mean(degree == 0):.1%} of nodes have no in-edge"
    )


def test_a_hub_takes_no_memory_to_describe(typed_store, monkeypatch):
    pieces = [(0, np.array([0, 0, 1])), (2, np.array([1, 50_000_001, 50_000_002]))]
    monkeypatch.setattr(describe, "indptr_pieces", lambda _: pieces)
    monkeypatch.setattr(GraphStore, "num_nodes", 4)
    tracemalloc.start()
    words = describe._degrees(typed_store)
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        "median 1, 99th percentile 1, largest 50,000,000; 25.0% of nodes have no in-edge" in words
    )
    assert most_bytes < 1 << 20


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
