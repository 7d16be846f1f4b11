"""What a build needs of memory and disk is said before it begins, in one number that is enough."""

import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from processes import peak_gib
from small_graphs import community_graph, typed_graph

from hvdtma.core.errors import UserError
from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES, MemoryBudget
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.builder.budget import BuildSizes
from hvdtma.graph.builder.disk import peak_bytes, store_bytes
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.sources import load_source
from hvdtma.plan import PlannedGraph

LEAST = re.compile(r"give memory_gb=(\d+\.\d\d) or more")


def named_least(attempt) -> float:
    """The GiB that are named where 0.1 are given."""
    with pytest.raises(UserError, match=r"memory_gb is 0\.1, too little for") as refused:
        attempt(0.1)
    return float(LEAST.search(str(refused.value))[1])


def sparse_graph():
    raw = community_graph()
    raw.feat = sp.csr_matrix(np.eye(600, dtype=np.float32))
    return raw


def bare_graph():
    raw = typed_graph()
    raw.feat = None
    return raw


@pytest.mark.parametrize("first_hop", [True, False])
@pytest.mark.parametrize("make", [community_graph, typed_graph, sparse_graph, bare_graph])
def test_the_least_that_is_named_is_enough_and_less_is_refused_at_once(make, first_hop, tmp_path):
    options = BuildOptions(negatives=5, first_hop=first_hop, feature_dim=4)

    def attempt(memory_gb):
        return build(tmp_path / "x.zarr", make(), options, memory_gb=memory_gb, overwrite=True)

    least_gb = named_least(attempt)
    assert attempt(least_gb).num_nodes == make().num_nodes
    shutil.rmtree(tmp_path / "x.zarr")
    with pytest.raises(UserError, match=f"give memory_gb={least_gb:.2f}"):
        attempt(least_gb - 0.011)
    assert not list(tmp_path.iterdir())


def large_files(folder, nodes=300_000):
    """Edges and features under string ids, whose table alone takes some MiB."""
    ids = [f"some-node-{number:09d}" for number in range(nodes)]
    rng = np.random.default_rng(0)
    src, dst = rng.integers(0, nodes, (2, nodes))
    edges = pa.table({"src": pa.array(ids).take(src), "dst": pa.array(ids).take(dst)})
    pq.write_table(edges, folder / "edges.parquet")
    feat = pa.FixedSizeListArray.from_arrays(rng.random(8 * nodes, np.float32), 8)
    pq.write_table(pa.table({"id": ids, "feat": feat}), folder / "feat.parquet")
    return FileSource(folder / "edges.parquet", folder / "feat.parquet")


def test_files_are_refused_with_one_number_as_soon_as_their_ids_are_known(tmp_path, capsys):
    given, options = large_files(tmp_path), BuildOptions(valid=100, test=100, negatives=5)

    def attempt(memory_gb):
        graph = given.open(MemoryBudget.limit(memory_gb), tmp_path, options)
        return build(tmp_path / "x.zarr", graph, options, memory_gb=memory_gb)

    at_once_gb = named_least(attempt)
    assert "reading ids" not in capsys.readouterr().err
    with pytest.raises(UserError, match="too little for a graph of 300,000 nodes") as refused:
        attempt(at_once_gb)
    least_gb = float(LEAST.search(str(refused.value))[1])
    with pytest.raises(UserError, match=f"give memory_gb={least_gb:.2f}"):
        attempt(least_gb - 0.011)
    assert "scattering" not in capsys.readouterr().err
    assert attempt(least_gb).num_nodes == 300_000


def test_a_build_with_the_least_stays_under_it_though_it_compiles_first(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    source = "synthetic:nodes=300000,edges=2500000,features=32"
    sizes = BuildSizes.of(load_source(source, seed=0), BuildOptions(valid=500, test=500))
    with pytest.raises(UserError) as refused:
        sizes.check_memory(MemoryBudget.limit(0.1))
    least_gb = LEAST.search(str(refused.value))[1]
    options = ("--valid", 500, "--test", 500, "--memory-gb", least_gb)
    assert peak_gib("build", tmp_path / "x.zarr", source, *options) < float(least_gb)


def test_a_plan_names_the_same_least():
    options = BuildOptions(valid=100, test=100, negatives=5)
    planned = PlannedGraph(50_000, 400_000, 16, True, 50, options)
    source = load_source("synthetic:nodes=50000,edges=400000,features=16", seed=0)
    assert planned.build_sizes.least_bytes() == BuildSizes.of(source, options).least_bytes()


def test_a_first_hop_in_groups_of_columns_is_counted_on_the_disk():
    """Half of its columns wait in files, all but the ids and labels stands beside them."""
    options = BuildOptions(valid=100, test=100, negatives=5)
    graph = PlannedGraph(10**7, 10**7, 64, False, 0, options).build_sizes
    memory = MemoryBudget(1 << 40)
    assert peak_bytes(graph, memory) == sum(store_bytes(graph).values())
    least = MemoryBudget(BASE_BYTES + LEAST_WORK_BYTES + graph.least_bytes())
    arrays = store_bytes(graph)
    without_ids = sum(arrays.values()) - arrays["node_id"]
    scratch = peak_bytes(graph, least) - without_ids
    assert 0.6 * arrays["first_hop"] < scratch < arrays["first_hop"]
