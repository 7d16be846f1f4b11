"""A batch's own links are taken out of the stored first hop exactly."""

import tempfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import dense, mean_of, sample_neighbourhood, shard_of, small_csc, store_of

from hvdtma.graph.csc import build_csc
from hvdtma.sampling.neighbourhood import Targets
from hvdtma.sampling.shard import load_shard


def without(adjacency, src, dst):
    """The matrix with all edges between pairs taken out, both directions."""
    left = adjacency.copy()
    left[src, dst] = left[dst, src] = 0
    return left


def hop_around(shard, src, dst, *, more=()):
    """(seeds, their first hop) with the links src - dst as targets."""
    seeds = np.unique(np.concatenate([src, dst, np.asarray(more, np.int64)]))
    around = sample_neighbourhood(
        shard, torch.from_numpy(seeds), [], random_seed=0, targets=Targets(src, dst)
    )
    return seeds, around.first_hop


@st.composite
def batches(draw, csc):
    """Some edges as a batch has them: repeated, turned round, in any order."""
    edges = draw(st.lists(st.integers(0, csc.num_edges - 1), min_size=1, max_size=8))
    edges = np.array(edges + edges[:1]) if draw(st.booleans()) else np.array(edges)
    src, dst = csc.indices[edges].astype(np.int64), csc.destinations()[edges].astype(np.int64)
    turned = np.array(draw(st.lists(st.booleans(), min_size=len(src), max_size=len(src))))
    return np.where(turned, dst, src), np.where(turned, src, dst)


@settings(max_examples=60, deadline=None)
@given(small_csc(), st.data())
def test_first_hop_without_targets_is_message_passing_without_their_edges(csc, data):
    src, dst = data.draw(batches(csc))
    shard = shard_of(csc, seed=data.draw(st.integers(0, 9)))
    others = data.draw(st.sets(st.integers(0, csc.num_nodes - 1)))
    seeds, hop = hop_around(shard, src, dst, more=sorted(others))
    left = without(dense(csc), dst, src)
    expected = mean_of(left, shard.feat.numpy())[seeds]
    assert hop.mean.numpy() == pytest.approx(expected, abs=1e-5)
    assert hop.degree.tolist() == left.sum(1)[seeds].tolist()


@settings(max_examples=20, deadline=None)
@given(small_csc(most_nodes=12), st.data())
def test_it_is_so_over_the_whole_graph_of_which_a_trainer_has_a_part(csc, data):
    offsets = np.arange(csc.num_nodes + 1)
    blocks = data.draw(st.sets(st.integers(0, csc.num_nodes - 1), min_size=2))
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(f"{folder}/x.zarr", csc, offsets)
        shard = load_shard(store, np.array(sorted(blocks)), first_hop=True, remote=True)
        feat = store.read("feat")
    if not shard.csc.num_edges:
        return
    src, dst = data.draw(batches(shard.csc))
    seeds, hop = hop_around(shard, src, dst, more=range(shard.num_nodes))
    left = without(dense(csc), shard.nodes[src], shard.nodes[dst])
    assert hop.mean.numpy() == pytest.approx(mean_of(left, feat)[shard.nodes[seeds]], abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(small_csc(), st.data())
def test_sampled_hops_beyond_read_the_first_hop_without_targets_too(csc, data):
    src, dst = data.draw(batches(csc))
    shard = shard_of(csc)
    around = sample_neighbourhood(
        shard,
        torch.from_numpy(np.unique(np.r_[src, dst])),
        [-1],
        random_seed=0,
        targets=Targets(src, dst),
    )
    nodes = around.nodes.numpy()
    expected = mean_of(without(dense(csc), src, dst), shard.feat.numpy())[nodes]
    assert around.first_hop.mean.numpy() == pytest.approx(expected, abs=1e-5)


def test_a_node_whose_only_link_is_the_target_is_left_with_nothing():
    shard = shard_of(build_csc(np.array([0, 1]), np.array([1, 0]), 2))
    _, hop = hop_around(shard, np.array([0]), np.array([1]))
    assert hop.mean.tolist() == [[0.0] * 5] * 2
    assert hop.degree.tolist() == [0, 0]


def test_a_pair_that_is_no_edge_of_the_shard_changes_nothing():
    shard = shard_of(build_csc(np.array([0]), np.array([1]), 3))
    _, hop = hop_around(shard, np.array([0]), np.array([2]), more=[1])
    assert hop.mean.equal(shard.hop.mean)
    assert hop.degree.equal(shard.hop.degree)


def test_what_is_stored_is_not_touched():
    csc = build_csc(np.array([0, 1, 2, 2]), np.array([1, 0, 0, 1]), 3)
    shard = shard_of(csc)
    mean, degree = shard.hop.mean.clone(), shard.hop.degree.clone()
    hop_around(shard, np.array([0, 2]), np.array([1, 0]))
    assert shard.hop.mean.equal(mean)
    assert shard.hop.degree.equal(degree)


def test_a_hub_keeps_its_precision():
    num_nodes = 30_001
    hub, others = np.zeros(num_nodes - 1, int), np.arange(1, num_nodes)
    csc = build_csc(np.r_[hub, others], np.r_[others, hub], num_nodes)
    shard = shard_of(csc, dim=3)
    batch = np.random.default_rng(0).choice(others, 20_000, replace=False)
    seeds, hop = hop_around(shard, np.zeros(20_000, int), batch)
    left = np.setdiff1d(others, batch)
    expected = shard.feat[left].double().mean(0)
    assert seeds[0] == 0
    assert hop.degree[0] == 10_000
    assert hop.mean[0].numpy() == pytest.approx(expected.numpy(), abs=1e-5)
