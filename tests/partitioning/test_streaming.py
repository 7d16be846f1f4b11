"""The streaming clusterer finds what belongs together, in groups of bounded size."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import dense, stored_edges_by_id

from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.sources import load_source
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.partitioning.contraction import contract
from hvdtma.partitioning.groups import group_nodes, share_of_edges_within
from hvdtma.partitioning.label_propagation import compact
from hvdtma.partitioning.statistics import assignment_statistics
from hvdtma.partitioning.streaming import IMBALANCE, streaming_groups

ENOUGH = MemoryBudget.limit(2)
# not by import: the attribute of the package is a function of the same name
streaming_module = sys.modules["hvdtma.partitioning.streaming"]
groups_module = sys.modules["hvdtma.partitioning.groups"]


def grouped(store, num_groups, folder, *, seed=0, balance="nodes"):
    return streaming_groups(
        store, num_groups, seed=seed, balance=balance, memory=ENOUGH, folder=folder
    )


def build_synthetic(path, *, directed=False):
    source = "synthetic:nodes=6000,edges=60000,features=4,communities=60,mixing=0.2"
    source += f",directed={str(directed).lower()}"
    options = BuildOptions(order="random", valid=10, test=10, negatives=2)
    return build(path, load_source(source, seed=0), options)


@pytest.fixture(scope="module", params=[False, True], ids=["undirected", "directed"])
def planted(request, tmp_path_factory):
    """Sixty communities of a hundred nodes, every fifth edge leaving its own."""
    return build_synthetic(tmp_path_factory.mktemp("planted") / "x.zarr", directed=request.param)


def test_planted_communities_are_found(planted, tmp_path):
    group = grouped(planted, 60, tmp_path)
    share = share_of_edges_within(planted, group)
    label = planted.read("label")
    purity = sum(np.bincount(label[group == number]).max() for number in np.unique(group)) / 6000
    assert share > 0.6  # 0.8 at most; 0.017 by chance
    assert purity > 0.7  # 0.03 by chance
    assert not any(tmp_path.rglob("*.keys"))


@pytest.mark.parametrize("balance", ["nodes", "edges"])
@pytest.mark.parametrize("num_groups", [3, 60, 300])
def test_groups_are_of_bounded_size(planted, balance, num_groups, tmp_path):
    group = grouped(planted, num_groups, tmp_path, balance=balance)
    assert group.min() >= 0
    assert group.max() < num_groups
    weight = np.ones(6000)
    if balance == "edges":
        csc = planted.rows(0, 6000)
        both = csc.indices.astype(int), csc.destinations().astype(int)
        ends = np.r_[both[0], both[1]] if not planted.undirected else both[1]
        weight = weight + np.bincount(ends, minlength=6000)
    sizes = np.bincount(group, weight, minlength=num_groups)
    largest = weight.max() if balance == "edges" else 1
    assert sizes.max() <= IMBALANCE * weight.sum() / num_groups + max(largest, 2)


def test_a_seed_gives_one_grouping_and_another_seed_another(planted, tmp_path):
    first, same, other = (grouped(planted, 60, tmp_path, seed=seed) for seed in (1, 1, 2))
    assert (first == same).all()
    assert (first != other).any()


def test_levels_are_added_until_metis_fits(planted, tmp_path, monkeypatch):
    one_level = share_of_edges_within(planted, grouped(planted, 60, tmp_path))
    handed = []
    metis = streaming_module.metis_groups

    def counting(csc, *others):
        handed.append(csc.num_nodes)
        return metis(csc, *others)

    monkeypatch.setattr(streaming_module, "metis_groups", counting)
    monkeypatch.setattr(streaming_module, "metis_bytes", lambda nodes, _: (nodes > 300) * 2**40)
    several = share_of_edges_within(planted, grouped(planted, 60, tmp_path))
    assert handed
    assert max(handed) <= 300
    assert several > one_level / 2
    monkeypatch.setattr(streaming_module, "metis_bytes", lambda *_: 2**40)
    packed = grouped(planted, 60, tmp_path)
    assert len(handed) == 1
    assert share_of_edges_within(planted, packed) > 0.3
    assert np.bincount(packed).max() <= 2 * 100


def test_the_graph_of_clusters_counts_edges_between_them(typed_store, community_store, tmp_path):
    for store in (typed_store, community_store):
        cluster = np.random.default_rng(0).integers(0, 9, store.num_nodes).astype(np.int32)
        small = contract(store, cluster, 9, tmp_path, 1 << 20)
        rows = small.rows(0, 9)
        found = np.zeros((9, 9))
        found[np.repeat(np.arange(9), np.diff(rows.indptr)), rows.indices] = rows.weights
        member = np.eye(9)[cluster]
        expected = member.T @ dense(store.rows(0, store.num_nodes)) @ member
        if not store.undirected:
            expected = expected + expected.T
        np.fill_diagonal(expected, 0)
        assert (found == expected).all()
        small.remove()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1))
def test_numbers_without_gaps_keep_apart_what_was_apart(numbers):
    found, count = compact(np.array(numbers), 21)
    assert sorted(set(found.tolist())) == list(range(count))
    assert len(set(zip(numbers, found.tolist(), strict=True))) == count


@pytest.mark.parametrize("method", ["super", "min-cut"])
@pytest.mark.parametrize("which", ["community_store", "typed_store"])
def test_a_store_partitioned_from_disk_is_the_same_graph(method, which, tmp_path, request):
    store = request.getfixturevalue(which)
    groups = {"super_nodes": 20} if method == "super" else {"parts": 3}
    options = PartitionOptions(method, groups | {"clusterer": "streaming"})
    made = partition(store, tmp_path / "x.zarr", options)
    assert [what for what, wrong in verification(made) if wrong] == []
    assert stored_edges_by_id(made) == stored_edges_by_id(store)
    assert made.attrs["order"]["clusterer"] == "streaming"
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
    if method == "super":
        assert made.attrs["order"]["edges_in_super_nodes"] > 2 / 20


def test_metis_is_taken_where_it_fits_and_refused_by_name_where_not(
    community_store, tmp_path, monkeypatch
):
    how = {"seed": 0, "balance": "nodes", "memory": ENOUGH, "folder": tmp_path}
    assert group_nodes(community_store, 20, clusterer="auto", **how)[1] == "metis"
    monkeypatch.setattr(groups_module, "metis_bytes", lambda *_: 5 * 2**30)
    assert group_nodes(community_store, 20, clusterer="auto", **how)[1] == "streaming"
    with pytest.raises(
        UserError, match=r"METIS \(--clusterer streaming needs less\).*memory_gb=5\.72"
    ):
        group_nodes(community_store, 20, clusterer="metis", **how)


def test_imbalance_is_left_out_where_nothing_tells_it(typed_store, monkeypatch):
    monkeypatch.setattr(groups_module, "metis_bytes", lambda *_: 5 * 2**30)
    found = assignment_statistics(typed_store, 3, memory_gb=1)
    assert "left out" in found.imbalance_of
    assert all(np.isnan(row.imbalance) for row in found.trainers)
