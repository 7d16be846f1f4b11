"""Edge weights: kept by builds and partitions, added where edges are merged, and used in means."""

import math
from collections import defaultdict

import numpy as np
import pytest
from graph_in_memory import read_graph, write_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import dense, mean_of, store_of, weighted_csc

from hvdtma.core.errors import UserError
from hvdtma.graph.build_report import report_rows
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.csc import CSC
from hvdtma.graph.describe import description
from hvdtma.graph.first_hop import first_hop
from hvdtma.graph.raw import EdgeStream, RawGraph, in_memory
from hvdtma.graph.sort.batches import EdgeBatch
from hvdtma.graph.sort.edge_sorter import EdgeSorter
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.storage.node_ids import NodeIds

OPTIONS = BuildOptions(hold_out="nodes", order="given", valid=1, test=1, block_nodes=3)
EDGES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 1), st.integers(1, 400)),
    min_size=1,
    max_size=40,
).filter(lambda edges: any(u != v for u, v, _, _ in edges))


def graph_of(edges, *, undirected=False, typed=False, weight=True, **more):
    """Edges (src, dst, type, weight in hundredths) as a graph of nine nodes with labels."""
    src, dst, kind, hundredths = np.array(edges).T
    feat = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    return RawGraph(
        src,
        dst,
        NodeIds.of([f"node {number}" for number in range(9)]),
        weight=(hundredths / 100).astype(np.float32) if weight else None,
        edge_type=kind.astype(np.int16) if typed else None,
        edge_type_names=["a", "b"] if typed else [],
        undirected=undirected,
        feat=feat,
        label=np.zeros(9, np.int64),
        label_names=["x"],
        **more,
    )


def stored_weights(store):
    """{(src, dst, type): weight} of every stored edge."""
    csc = store.rows(0, store.num_nodes)
    kinds = np.zeros(csc.num_edges, int) if csc.edge_type is None else csc.edge_type
    keys = zip(csc.indices.tolist(), csc.destinations().tolist(), kinds.tolist(), strict=True)
    return dict(zip(keys, csc.weight.tolist(), strict=True))


def is_sound(store):
    return [problem for _, problem in verification(store) if problem] == []


@settings(max_examples=25, deadline=None)
@given(EDGES, st.booleans(), st.booleans())
def test_the_weight_of_a_merged_edge_is_the_sum(tmp_path_factory, edges, undirected, typed):
    raw = graph_of(edges, undirected=undirected, typed=typed)
    store = build(tmp_path_factory.mktemp("w") / "x.zarr", raw, OPTIONS)
    weights, lowest = defaultdict(list), {}
    for (u, v, kind, _), weight in zip(edges, raw.weight.tolist(), strict=True):
        if u == v:
            continue
        for pair in {(u, v), (v, u)} if undirected else {(u, v)}:
            kept = 0 if undirected or not typed else kind
            weights[*pair, kept].append(weight)
            lowest[pair] = min(kind * typed, lowest.get(pair, 9))
    expected = {
        (u, v, lowest[u, v] if undirected else kind): np.float32(math.fsum(each))
        for (u, v, kind), each in weights.items()
    }
    assert stored_weights(store) == pytest.approx(expected, rel=1e-7)
    total = np.zeros(9)
    for (_, v, _), weight in stored_weights(store).items():
        total[v] += weight
    assert store.read("in_weight") == pytest.approx(total, rel=1e-12)
    merged = sum(len(each) - 1 for each in weights.values()) // (1 + undirected)
    assert store.attrs["counts"].get("duplicate_edges_with_weights_added", 0) == merged
    assert is_sound(store)


@settings(max_examples=8, deadline=None)
@given(EDGES, st.booleans(), st.randoms(use_true_random=False))
def test_the_store_depends_on_neither_order_nor_batches(
    tmp_path_factory, edges, undirected, random
):
    folder = tmp_path_factory.mktemp("w")
    raw = graph_of(edges, undirected=undirected)
    first = build(folder / "first.zarr", raw, OPTIONS)
    shuffled = random.sample(edges, len(edges))
    other = graph_of(shuffled, undirected=undirected)
    whole = EdgeBatch(other.src, other.dst, None, other.weight)
    cuts = sorted(random.sample(range(len(edges) + 1), 2))
    stream = EdgeStream(
        lambda: (whole.take(rows) for rows in np.split(np.arange(len(edges)), cuts)),
        num_nodes=9,
        num_edges=len(edges),
        ids=other.node_id.values,
        weighted=True,
        undirected=undirected,
        feat=other.feat,
        label=other.label,
        label_names=["x"],
    )
    second = build(folder / "second.zarr", stream, OPTIONS)
    assert first.attrs["checksums"] == second.attrs["checksums"]


@pytest.mark.parametrize("mirror", [False, True])
def test_sorting_in_files_gives_the_weights_of_sorting_in_memory(tmp_path, mirror):
    rng = np.random.default_rng(0)
    src, dst = rng.integers(0, 300, (2, 30_000))
    weight = rng.random(30_000).astype(np.float32)
    found = []
    for memory_bytes in (0, 300_000, 10**9):
        sorter = EdgeSorter(
            300, 60_000, tmp_path / str(memory_bytes), memory_bytes, mirror=mirror, value="weight"
        )
        order = rng.permutation(30_000)
        pieces = np.array_split(order, 7)
        sorter.scatter(EdgeBatch(src[p], dst[p], None, weight[p]) for p in pieces)
        assert sorter.buckets.spilled == (memory_bytes < 10**9)
        rows = [rows for _, rows in sorter.rows()]
        found.append(
            [
                np.concatenate([getattr(r, n) for r in rows])
                for n in ("degree", "indices", "weights")
            ]
        )
    for others in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], others, strict=True))
    expected = np.zeros((300, 300))
    np.add.at(expected, (dst, src), weight)
    if mirror:
        expected += expected.T
    np.fill_diagonal(expected, 0)
    degree, indices, weights = found[0]
    csc = CSC(np.r_[0, np.cumsum(degree)], indices, weight=weights)
    assert dense(csc) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(weighted_csc(), st.sampled_from([np.float16, np.float32]), st.integers(0, 9))
def test_the_first_hop_is_the_weighted_mean(csc, dtype, seed):
    feat = np.random.default_rng(seed).normal(size=(csc.num_nodes, 4)).astype(dtype)
    assert first_hop(csc, feat) == pytest.approx(mean_of(dense(csc), feat), abs=1e-5)


@pytest.mark.parametrize("weight", [1e-30, 1.0, 3.0, 7e37])
def test_equal_weights_give_exactly_the_means_without_weights(weight):
    rng = np.random.default_rng(0)
    csc = read_random(rng)
    feat = rng.normal(size=(csc.num_nodes, 5)).astype(np.float32)
    plain = first_hop(csc, feat)
    csc.weight = np.full(csc.num_edges, weight, np.float32)
    assert (first_hop(csc, feat) == plain).all()


def read_random(rng, nodes=50, edges=400):
    src, dst = rng.integers(0, nodes, (2, edges))
    order = np.lexsort((src, dst))
    indptr = np.searchsorted(dst[order], np.arange(nodes + 1))
    return CSC(indptr, src[order].astype(np.int32))


def test_whole_weights_are_edges_that_are_repeated(tmp_path):
    rng = np.random.default_rng(1)
    src, dst = rng.integers(0, 40, (2, 300))
    times = rng.integers(1, 5, 300)
    feat = rng.normal(size=(40, 3)).astype(np.float32)

    def sorted_csc(src, dst, weight=None, **options):
        sorter = EdgeSorter(40, len(src), tmp_path / "x", 10**9, **options)
        sorter.scatter([EdgeBatch(src, dst, None, weight)])
        rows = [rows for _, rows in sorter.rows()]
        degree, indices, weights = (
            np.concatenate([getattr(r, name) for r in rows])
            for name in ("degree", "indices", "weights")
        )
        indptr = np.r_[0, np.cumsum(degree)]
        return CSC(indptr, indices, weight=None if weight is None else weights)

    repeated = sorted_csc(np.repeat(src, times), np.repeat(dst, times), keep_repeats=True)
    weighted = sorted_csc(src, dst, times.astype(np.float32), value="weight")
    assert repeated.num_edges > weighted.num_edges
    assert dense(weighted) == pytest.approx(dense(repeated))
    assert first_hop(weighted, feat) == pytest.approx(first_hop(repeated, feat), abs=1e-5)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, 1e-60, 1e60])
def test_a_weight_that_is_not_positive_and_finite_is_refused_with_its_edge(tmp_path, bad):
    weight = np.array([1.0, 2.0, bad, -5.0])
    src, dst = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 4])
    raw = RawGraph(src, dst, NodeIds.of(list("abcde")), weight=weight)
    with pytest.raises(UserError, match=r"the edge from 'c' to 'd' has the weight .* above 0"):
        build(tmp_path / "x.zarr", raw, OPTIONS)
    assert not (tmp_path / "x.zarr").exists()


def test_weights_that_add_up_to_too_much_are_refused(tmp_path):
    raw = graph_of([(0, 1, 0, 100)] * 2)
    raw.weight = np.full(2, 3e38, np.float32)
    with pytest.raises(UserError, match="add up to more than single precision"):
        build(tmp_path / "x.zarr", raw, OPTIONS)


@pytest.mark.parametrize(
    ("batch", "weighted", "words"),
    [
        (EdgeBatch(np.arange(3), np.arange(3)), True, "has no weight; the source's `weighted` is"),
        (EdgeBatch(np.arange(3), np.arange(3), None, np.ones(3)), False, "has a weight; the"),
        (EdgeBatch(np.arange(3), np.arange(3), None, np.ones(2)), True, r"has shape \(2,\)"),
        (EdgeBatch(np.arange(3), np.arange(3), None, np.array(["1"] * 3)), True, "valid: numbers"),
    ],
)
def test_batches_whose_weights_do_not_fit_are_refused(tmp_path, batch, weighted, words):
    source = EdgeStream(lambda: [batch], num_nodes=3, num_edges=3, weighted=weighted)
    with pytest.raises(UserError, match=words):
        build(tmp_path / "x.zarr", source, BuildOptions(negatives=1))


def test_a_partition_keeps_every_weight(tmp_path):
    rng = np.random.default_rng(2)
    edges = np.c_[rng.integers(0, 9, (60, 2)), np.zeros(60, int), rng.integers(1, 400, 60)]
    store = build(tmp_path / "x.zarr", graph_of(edges.tolist(), undirected=True), OPTIONS)
    other = partition(store, tmp_path / "y.zarr", PartitionOptions("random", {}, 3, 2))
    ids = other.node_ids().to_list()
    named = {(ids[u], ids[v]): weight for (u, v, _), weight in stored_weights(other).items()}
    given_ids = store.node_ids().to_list()
    expected = {
        (given_ids[u], given_ids[v]): weight for (u, v, _), weight in stored_weights(store).items()
    }
    assert ids != given_ids
    assert named == expected
    assert description(other)["edge weights"] == description(store)["edge weights"]
    assert is_sound(other)


def test_the_description_says_the_range_of_the_weights(tmp_path):
    edges = [(0, 1, 0, 50), (1, 2, 0, 125), (2, 3, 0, 2000), (3, 4, 0, 300), (3, 4, 0, 100)]
    store = build(tmp_path / "x.zarr", graph_of(edges), OPTIONS)
    assert sorted(stored_weights(store).values()) == [0.5, 1.25, 4, 20]
    assert store.attrs["weights"] == {"min": 0.5, "median": 1.25, "max": 20}
    found = description(store)
    assert found["edge weights"] == "0.5 to 20, median 1.25"
    assert ("repeated edges merged", "1") in [row[:2] for row in report_rows(store)]


def half_in_one_direction(graph):
    graph.csc.weight[0] *= 2


def negative(graph):
    graph.csc.weight[3] = -1


@pytest.mark.parametrize(
    ("change", "words"),
    [(half_in_one_direction, "has two weights"), (negative, "not above 0 and finite")],
)
def test_verify_finds_wrong_weights(tmp_path, change, words):
    rng = np.random.default_rng(2)
    edges = np.c_[rng.integers(0, 9, (60, 2)), np.zeros(60, int), rng.integers(1, 400, 60)]
    store = build(tmp_path / "x.zarr", graph_of(edges.tolist(), undirected=True), OPTIONS)
    graph = read_graph(store)
    change(graph)
    graph.first_hop = None
    broken = write_graph(tmp_path / "b.zarr", graph, np.array([0, 9]), order={})
    problems = [problem for _, problem in verification(broken) if problem]
    assert len(problems) == 1
    assert words in problems[0]


def test_verify_finds_wrong_sums(tmp_path, monkeypatch):
    csc = read_random(np.random.default_rng(0))
    csc.weight = np.ones(csc.num_edges, np.float32)
    monkeypatch.setattr("graph_in_memory.Graph.in_weight", np.full(50, 2.5))
    store = store_of(tmp_path / "x.zarr", csc, [0, 50])
    assert any("in_weight is not" in str(problem) for _, problem in verification(store))


def test_a_source_in_memory_keeps_weights_and_times():
    batch = EdgeBatch(
        np.array([0, 1]), np.array([1, 2]), None, np.array([2.5, 1]), np.array([7, 8])
    )
    stream = EdgeStream(
        lambda: [batch, lambda: batch], num_nodes=3, num_edges=4, weighted=True, timed=True
    )
    raw = in_memory(stream)
    assert raw.weight.tolist() == [2.5, 1, 2.5, 1]
    assert raw.time.tolist() == [7, 8, 7, 8]
