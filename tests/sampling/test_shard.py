"""A shard is the subgraph that its blocks induce, and nothing else is lost on the way."""

import tempfile
from collections import Counter

import numpy as np
import pytest
import torch
from graph_in_memory import read_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import sample_neighbourhood, shard_of, small_csc, store_of

from hvdtma.graph.csc import CSC
from hvdtma.sampling import reader as reader_module
from hvdtma.sampling.shard import load_shard


def induced(graph, nodes):
    """Edges between some nodes, in their positions: Counter of (source, destination, type)."""
    place = {node: position for position, node in enumerate(nodes.tolist())}
    csc = graph.csc
    types = np.zeros(csc.num_edges, int) if csc.edge_type is None else csc.edge_type
    edges = zip(csc.indices.tolist(), csc.destinations().tolist(), types.tolist(), strict=True)
    return Counter((place[u], place[v], t) for u, v, t in edges if u in place and v in place)


def edges_of(shard):
    csc = shard.csc
    types = np.zeros(csc.num_edges, int) if csc.edge_type is None else csc.edge_type
    return Counter(
        zip(csc.indices.tolist(), csc.destinations().tolist(), types.tolist(), strict=True)
    )


def check_shard(store, graph, blocks, *, remote):
    offsets = store.block_offsets
    own = np.flatnonzero(
        np.isin(np.searchsorted(offsets, np.arange(offsets[-1]), "right") - 1, blocks)
    )
    others = np.setdiff1d(np.arange(graph.num_nodes), own) if remote else own[:0]
    labels = graph.label is not None
    shard = load_shard(store, blocks, first_hop=True, labels=labels, remote=remote)
    assert shard.nodes.tolist() == [*own, *others]
    assert shard.num_own == len(own)
    assert shard.num_nodes == len(own) + len(others) == len(shard.csc.indptr) - 1
    assert edges_of(shard) == induced(graph, own)
    rows = np.split(shard.csc.indices, shard.csc.indptr[1:-1])
    assert all((np.diff(row) >= 0).all() for row in rows)  # as binary search wants them
    assert (shard.feat.numpy() == graph.feat[shard.nodes]).all()
    assert (shard.hop.mean.numpy() == graph.first_hop[shard.nodes]).all()
    assert (shard.hop.degree.numpy() == np.diff(graph.csc.indptr)[shard.nodes]).all()
    assert shard.assigned_edges == shard.num_edges
    if labels:
        assert (shard.label.numpy() == graph.label[shard.nodes]).all()
    train = graph.nodes.get("train", np.zeros(0, int)) if labels else np.zeros(0, int)
    assert shard.nodes[shard.train_nodes].tolist() == sorted(set(train) & set(own))
    assert (shard.train_nodes < shard.num_own).all()


@pytest.fixture(scope="module")
def graphs(community_store, typed_store):
    return [(store, read_graph(store)) for store in (community_store, typed_store)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1), st.data(), st.booleans(), st.sampled_from([1, 500, 1 << 23]))
def test_any_blocks_give_the_subgraph_they_induce(graphs, which, data, remote, chunk_bytes):
    store, graph = graphs[which]
    block = st.integers(0, store.num_blocks - 1)
    blocks = np.array(sorted(data.draw(st.sets(block, min_size=1))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader_module, "CHUNK_BYTES", chunk_bytes)  # so that one read is many
        check_shard(store, graph, blocks, remote=remote)


@settings(max_examples=20, deadline=None)
@given(small_csc(), st.data())
def test_blocks_of_any_size_of_any_graph_do(csc, data):
    inner = data.draw(st.sets(st.integers(1, csc.num_nodes - 1)))
    offsets = np.array([0, *sorted(inner), csc.num_nodes])
    chosen = data.draw(st.sets(st.integers(0, len(offsets) - 2), min_size=1))
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(f"{folder}/x.zarr", csc, offsets)
        check_shard(store, read_graph(store), np.array(sorted(chosen)), remote=True)


def test_shards_of_an_assignment_have_every_edge_at_most_once(community_store):
    blocks_of = np.array_split(np.random.default_rng(0).permutation(60), 3)
    shards = [load_shard(community_store, np.sort(blocks)) for blocks in blocks_of]
    assert sum(shard.num_own for shard in shards) == 600
    seen = Counter()
    for shard in shards:
        ends = shard.csc.indices, shard.csc.destinations()
        seen += Counter(zip(*(shard.nodes[end].tolist() for end in ends), strict=True))
    assert set(seen.values()) == {1}
    assert 0 < seen.total() < community_store.num_edges


def test_only_what_is_asked_for_is_read(community_store, typed_store):
    blocks = np.array([0, 3])
    shard = load_shard(community_store, blocks)
    assert shard.hop is None
    assert shard.first_hop(torch.tensor([0])) is None
    assert shard.num_nodes == shard.num_own == 20
    assert shard.label is None
    assert len(shard.train_nodes) == 0
    assert load_shard(community_store, blocks, labels=True).label.shape == (20,)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1), st.integers(1, 5), st.data())
def test_resident_sets_count_the_edges_of_the_whole_hand(graphs, which, num_sets, data):
    store, _ = graphs[which]
    block = st.integers(0, store.num_blocks - 1)
    assigned = np.array(sorted(data.draw(st.sets(block, min_size=num_sets))))
    order = np.array(data.draw(st.permutations(assigned.tolist())))
    sets = [np.sort(part) for part in np.array_split(order, num_sets)]
    counted = [load_shard(store, part, assigned=assigned).assigned_edges for part in sets]
    assert sum(counted) == load_shard(store, assigned).num_edges


def test_half_precision_features_are_read_in_single(tmp_path, graphs):
    graph = graphs[0][1]
    half = graph.feat.astype(np.float16)
    store = store_of(tmp_path / "x.zarr", graph.csc, [0, 300, 600], feat=half)
    shard = load_shard(store, np.array([1]))
    assert shard.feat.dtype == torch.float16
    rows = shard.features(torch.tensor([5, 2]))
    assert rows.dtype == torch.float32
    assert (rows.numpy() == half[[305, 302]].astype(np.float32)).all()


def test_numbers_of_64_bits_give_the_same_sample_as_those_of_32(graphs):
    csc = graphs[1][1].csc
    wide = CSC(csc.indptr, csc.indices.astype(np.int64), csc.edge_type)
    assert csc.indices.dtype == np.int32
    first, second = (
        sample_neighbourhood(shard_of(graph, remote=3), torch.arange(50), [3, 3], random_seed=1)
        for graph in (csc, wide)
    )
    assert first.x.equal(second.x)
    for left, right in zip(first.blocks, second.blocks, strict=True):
        assert left.edge_index.equal(right.edge_index)
