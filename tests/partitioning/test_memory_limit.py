"""Partitioning stays under its limit, gives what it would in memory, and dies without a trace."""

import re

import numpy as np
import pytest
from graph_in_memory import read_graph, renumber
from processes import kill_when, peak_gib

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.sources import load_source
from hvdtma.graph.store import open_store
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, metis, partition, streaming
from hvdtma.partitioning.metis import metis_parts

LIMIT_GB = 0.75  # all in memory the partition below took 0.90
OPTIONS = {"random": {}, "super": {"super_nodes": 30}, "min-cut": {"parts": 4}}


@pytest.fixture(scope="module")
def large_store(tmp_path_factory):
    """Some millions of edges."""
    source = load_source("synthetic:nodes=200000,edges=4000000,features=32", seed=0)
    options = BuildOptions(valid=1000, test=1000, negatives=20)
    return build(tmp_path_factory.mktemp("large") / "x.zarr", source, options)


def plain_order(csc, method):
    """The order as it is defined, in plain NumPy."""
    if method == "random":
        return np.random.default_rng(3).permutation(csc.num_nodes)
    if method == "min-cut":
        return np.argsort(metis_parts(csc, 4, seed=3, balance="edges"), kind="stable")
    place = np.random.default_rng(3).permutation(30)
    return np.argsort(place[metis_parts(csc, 30, seed=3)], kind="stable")


@pytest.mark.parametrize("which", ["community_store", "typed_store"])
@pytest.mark.parametrize("method", ["random", "super", "min-cut"])
def test_every_method_gives_bit_for_bit_what_it_would_in_memory(method, which, tmp_path, request):
    store = request.getfixturevalue(which)
    graph = read_graph(store)
    expected = renumber(graph, plain_order(graph.csc, method)).arrays
    options = PartitionOptions(method, OPTIONS[method], seed=3, block_nodes=10)
    for memory_gb in (0.75, None):
        made = partition(store, tmp_path / f"{memory_gb}.zarr", options, memory_gb=memory_gb)
        for name, values in expected.items():
            assert made.read(name).dtype == values.dtype, name
            assert made.read(name).tobytes() == values.tobytes(), name


def test_memory_stays_under_the_limit(large_store, tmp_path):
    out = tmp_path / "x.zarr"
    assert peak_gib("partition", large_store.path, out, "--memory-gb", LIMIT_GB) < LIMIT_GB
    made = open_store(tmp_path / "x.zarr")
    assert made.num_edges == large_store.num_edges
    old = large_store.node_ids().lookup(made.node_ids().values)
    assert (np.diff(made.read("indptr")) == np.diff(large_store.read("indptr"))[old]).all()
    assert (made.read("feat") == large_store.read("feat")[old]).all()


@pytest.mark.parametrize("written", [".scratch", "indices/c", "feat/c"])
def test_a_kill_at_any_time_leaves_nothing_that_opens(written, large_store, tmp_path):
    out = tmp_path / "x.zarr"
    kill_when(
        lambda: list(tmp_path.glob(f".x.zarr.*.partial/{written}")),
        *("partition", large_store.path, out, "--memory-gb", LIMIT_GB),
    )
    assert not out.exists()
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    with pytest.raises(UserError):
        open_store(left[0])
    if written == "feat/c":  # once is enough
        made = partition(large_store, out)
        assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
        assert [what for what, wrong in verification(made) if wrong] == []


def test_too_little_memory_is_refused_with_what_is_enough(community_store, tmp_path):
    with pytest.raises(
        UserError, match=r"is 0\.5, too little for .*600 nodes and .*; give memory_gb=0\.72 or"
    ):
        partition(community_store, tmp_path / "x.zarr", memory_gb=0.5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("clusterer", "module", "each"),
    [("metis", metis, "METIS_NODE_BYTES"), ("streaming", streaming, "NODE_BYTES")],
)
def test_what_the_clusterer_needs_is_named_at_once(
    clusterer, module, each, community_store, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(module, each, 1 << 20)  # so that it needs most

    def attempt(memory_gb):
        options = PartitionOptions("super", {"super_nodes": 20, "clusterer": clusterer})
        return partition(community_store, tmp_path / "x.zarr", options, memory_gb=memory_gb)

    with pytest.raises(
        UserError, match=r"partitioning 600 nodes.*; give memory_gb=1\.\d\d or"
    ) as refused:
        attempt(1)
    assert not capsys.readouterr().err
    least_gb = float(re.search(r"memory_gb=(\d+\.\d\d)", str(refused.value))[1])
    with pytest.raises(UserError, match=f"give memory_gb={least_gb:.2f}"):
        attempt(least_gb - 0.011)
    assert attempt(least_gb).num_nodes == 600


def test_a_disk_that_is_too_small_is_refused_first(community_store, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("hvdtma.core.disk.shutil.disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="GB of disk while it is partitioned"):
        partition(community_store, tmp_path / "x.zarr")
    assert not list(tmp_path.iterdir())
