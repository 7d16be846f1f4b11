"""A partition method only orders nodes: nothing is lost, and what belongs together stays so."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import dense, small_csc, stored_edges_by_id

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.csc import build_csc
from hvdtma.graph.store import open_store
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.partitioning.groups import share_of_edges_within
from hvdtma.partitioning.methods import default_super_nodes
from hvdtma.partitioning.metis import metis_parts, symmetric
from hvdtma.partitioning.orders import min_cut_order, random_order, super_node_order
from hvdtma.partitioning.statistics import assignment_statistics


def super_nodes_of(csc, block_nodes=10, *, seed=0, super_nodes=60):
    cluster = metis_parts(csc, super_nodes, seed=seed)
    return super_node_order(cluster, super_nodes, block_nodes, seed=seed)


def job_specs(csc, block_nodes=10, *, seed=0, parts=4):
    part = metis_parts(csc, parts, seed=seed, balance="edges")
    return min_cut_order(part, parts, block_nodes)


SIXTY = {"random": {}, "super": {"super_nodes": 60}, "min-cut": {"parts": 3}}
METHODS = {
    "random": lambda csc, seed=0: random_order(csc.num_nodes, 10, seed=seed),
    "super": lambda csc, seed=0: super_nodes_of(csc, seed=seed),
    "min-cut": lambda csc, seed=0: job_specs(csc, seed=seed),
}


@pytest.fixture(scope="module")
def community_csc(community_store):
    return community_store.rows(0, 600)


@pytest.fixture(scope="module")
def partitioned(community_store, tmp_path_factory):
    """The undirected graph under each method."""
    folder = tmp_path_factory.mktemp("partitioned")
    return {
        method: partition(
            community_store,
            folder / f"{method}.zarr",
            PartitionOptions(method, SIXTY[method], block_nodes=10),
        )
        for method in METHODS
    }


def runs_of(group_n):
    """How many runs of equal values there are."""
    return 1 + np.count_nonzero(np.diff(group_n))


@settings(max_examples=60, deadline=None)
@given(small_csc(), st.sampled_from(["random", "super", "min-cut"]), st.data())
def test_every_order_of_any_graph_is_a_permutation_in_blocks(csc, method, data):
    block_nodes, seed = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 9))
    groups = data.draw(st.integers(1, csc.num_nodes))
    if method == "random":
        order = random_order(csc.num_nodes, block_nodes, seed=seed)
    elif method == "super":
        order = super_nodes_of(csc, block_nodes, seed=seed, super_nodes=groups)
    else:
        order = job_specs(csc, block_nodes, seed=seed, parts=groups)
        parts = order.part_offsets
        assert (parts[0], parts[-1]) == (0, len(order.block_offsets) - 1)
        assert (np.diff(parts) > 0).all()
    assert np.sort(order.nodes).tolist() == list(range(csc.num_nodes))
    assert order.block_offsets[0] == 0
    assert order.block_offsets[-1] == csc.num_nodes
    assert (np.diff(order.block_offsets) > 0).all()
    if method != "super":
        assert np.diff(order.block_offsets).max() <= block_nodes


@pytest.mark.parametrize("super_nodes", [7, 60, 300, 600])
def test_blocks_never_run_through_a_super_node(super_nodes, community_csc):
    order = super_nodes_of(community_csc, 10, seed=3, super_nodes=super_nodes)
    cluster = metis_parts(community_csc, super_nodes, seed=3)[order.nodes]
    assert runs_of(cluster) == len(np.unique(cluster))  # each lies in one piece
    block_of = np.repeat(np.arange(len(order.block_offsets) - 1), np.diff(order.block_offsets))
    for number in np.unique(cluster):
        assert len(np.unique(block_of[cluster == number])) == 1
    assert order.attrs["super_nodes"] == super_nodes


def test_super_nodes_are_shuffled(community_csc):
    order = super_nodes_of(community_csc, 10, seed=3, super_nodes=60)
    cluster = metis_parts(community_csc, 60, seed=3)[order.nodes]
    sequence = cluster[np.r_[True, np.diff(cluster) != 0]]
    assert 20 < np.count_nonzero(np.diff(sequence) < 0) < 40  # as many falls as rises


def test_min_cut_parts_are_laid_whole_with_edges_balanced(community_csc):
    order = job_specs(community_csc, 10, seed=3, parts=4)
    part = metis_parts(community_csc, 4, seed=3, balance="edges")[order.nodes]
    bounds = order.block_offsets[order.part_offsets]
    assert runs_of(part) == 4
    degree = np.diff(community_csc.indptr)[order.nodes]
    for start, stop in pairwise(bounds):
        assert len(np.unique(part[start:stop])) == 1
        assert degree[start:stop].sum() == pytest.approx(community_csc.num_edges / 4, rel=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_gives_one_order_and_another_seed_another(method, community_csc):
    first, same, other = (METHODS[method](community_csc, seed) for seed in (1, 1, 2))
    assert (first.nodes == same.nodes).all()
    assert (first.block_offsets == same.block_offsets).all()
    assert (first.nodes != other.nodes).any()


def test_min_cut_keeps_more_than_super_nodes_and_these_more_than_random(partitioned):
    kept = {
        method: np.mean([assignment_statistics(store, 3, number=n).edges_kept for n in range(3)])
        for method, store in partitioned.items()
    }
    assert kept["min-cut"] > kept["super"] + 0.1
    assert kept["super"] > kept["random"] + 0.1
    assert kept["random"] == pytest.approx(1 / 3, abs=0.05)  # 1/M, the paper's section 3.1


@pytest.mark.parametrize("method", METHODS)
def test_a_partitioned_store_is_the_same_graph(method, partitioned, community_store):
    store = partitioned[method]
    assert [what for what, wrong in verification(store) if wrong] == []
    assert stored_edges_by_id(store) == stored_edges_by_id(community_store)
    assert store.attrs["order"]["method"] == method
    assert store.attrs["order"]["seed"] == 0
    assert store.attrs["order"].get("clusterer") == (None if method == "random" else "metis")
    assert (store.part_offsets is not None) == (method == "min-cut")
    old, new = community_store.node_ids(), store.node_ids()
    place = old.lookup(new.values)
    for name in ("feat", "first_hop", "label"):
        assert (store.read(name) == community_store.read(name)[place]).all()
    for part in ("valid", "test"):
        before, after = community_store.links(part), store.links(part)
        for name in ("src", "dst", "neg"):
            assert (place[getattr(after, name)] == getattr(before, name)).all()
            assert getattr(after, name).dtype == getattr(before, name).dtype
    for part in ("train", "valid", "test"):
        nodes = store.labelled_nodes(part)
        assert set(place[nodes]) == set(community_store.labelled_nodes(part))


def test_typed_parallel_edges_survive_every_method(typed_store, tmp_path):
    expected = stored_edges_by_id(typed_store)
    for method in METHODS:
        options = PartitionOptions(method, SIXTY[method])
        store = partition(typed_store, tmp_path / method, options)
        assert stored_edges_by_id(store) == expected
        assert store.edge_type_names == typed_store.edge_type_names
        assert store.links("test").edge_type.tolist() == (
            typed_store.links("test").edge_type.tolist()
        )


def test_provenance_tells_every_step_and_not_those_of_others(community_store, tmp_path):
    first = partition(community_store, tmp_path / "a", PartitionOptions("super", seed=4))
    second = partition(first, tmp_path / "b", PartitionOptions("min-cut"))
    other = partition(community_store, tmp_path / "c", PartitionOptions("random"))
    steps = [
        [(entry["command"], entry["options"].get("method")) for entry in store.attrs["provenance"]]
        for store in (first, second, other)
    ]
    build_step = ("build", None)
    assert steps[0] == [build_step, ("partition", "super")]
    assert steps[1] == [build_step, ("partition", "super"), ("partition", "min-cut")]
    assert steps[2] == [build_step, ("partition", "random")]
    assert first.attrs["provenance"][1]["options"]["seed"] == 4
    assert (
        open_store(community_store.path).attrs["provenance"]
        == (community_store.attrs["provenance"])
    )


def test_a_store_can_be_partitioned_into_its_own_place(community_raw, tmp_path):
    store = build(tmp_path / "x.zarr", community_raw, BuildOptions(negatives=2))
    expected = stored_edges_by_id(store)
    with pytest.raises(UserError, match="exists; give --overwrite"):
        partition(store, store.path, PartitionOptions("super"))
    again = partition(store, store.path, PartitionOptions("super"), overwrite=True)
    assert again.attrs["order"]["method"] == "super"
    assert stored_edges_by_id(again) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "metis"}, "unknown partition method 'metis'; valid: random, super, min-cut"),
        ({"method": "mincut"}, "did you mean 'min-cut'"),
        ({"method": "super", "options": {"clusterer": "meits"}}, "did you mean 'metis'"),
        ({"method": "super", "options": {"super_nodes": 601}}, "601 super-nodes, .* only 600"),
        ({"method": "min-cut", "options": {"parts": 601}}, "601 parts, .* only 600 nodes"),
        (
            {"method": "min-cut", "options": {"parts": 0}},
            "parts is 0; it must be a whole number",
        ),
        ({"options": {"parts": 3}}, "'random' takes no option 'parts'; it takes none"),
        ({"method": "super", "options": {"part": 3}}, "takes no option 'part'; valid: super_nodes"),
        ({"block_nodes": 0}, "block_nodes is 0"),
    ],
)
def test_impossible_wishes_are_refused_and_leave_nothing(
    options, message, community_store, tmp_path
):
    with pytest.raises(UserError, match=message):
        partition(community_store, tmp_path / "x.zarr", PartitionOptions(**options))
    assert list(tmp_path.iterdir()) == []


def test_the_papers_super_nodes_are_the_default_where_they_fit():
    assert default_super_nodes(100) == 5
    assert default_super_nodes(20_000) == 256
    assert default_super_nodes(2_000_000) == 10_000
    assert default_super_nodes(2_927_963) == 14_639
    assert default_super_nodes(10**8) == 15_000


def test_a_graph_without_edges_is_partitioned_too():
    empty = build_csc(np.zeros(0, int), np.zeros(0, int), 100)
    for method in METHODS:
        assert np.sort(METHODS[method](empty).nodes).tolist() == list(range(100))


@settings(max_examples=40, deadline=None)
@given(small_csc())
def test_metis_sees_every_link_both_ways_and_once(csc):
    adjacency = dense(csc)
    assert (dense(symmetric(csc)) == np.minimum(adjacency + adjacency.T, 1)).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(0, 99))
def test_the_share_of_edges_within_groups_is_counted(community_store, groups, seed):
    group = np.random.default_rng(seed).integers(0, groups, 600)
    csc = community_store.rows(0, 600)
    within = (group[csc.indices] == group[csc.destinations()]).mean()
    assert share_of_edges_within(community_store, group) == pytest.approx(within)
