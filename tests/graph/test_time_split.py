"""`--split time`: nothing that training or scoring reads is later than what it is to predict."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_graphs import TYPES, community_graph

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.embed import embed
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.builder.check import checked_batches
from hvdtma.graph.describe import description
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.selection import nth_largest
from hvdtma.graph.source import NO_TIME, Pairs
from hvdtma.graph.sources import SyntheticGraph
from hvdtma.graph.time_split import links_by_time
from hvdtma.graph.verify import verification
from hvdtma.partitioning import PartitionOptions, partition
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tasks import make_model, make_task

NODES = 8
EDGES = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.integers(-3, 12)),
    min_size=4,
    max_size=40,
)
SIZES = st.sampled_from([1, 2, 3, 0.2, 0.34])


def graph_of(edges, *, undirected=False, typed=False, weighted=False):
    src, dst, time = np.array(edges, np.int64).reshape(-1, 3).T
    rng = np.random.default_rng(0)
    return RawGraph(
        src,
        dst,
        NodeIds.counted(NODES),
        time=time,
        weight=rng.random(len(src)) + 0.1 if weighted else None,
        edge_type=rng.integers(0, 3, len(src)).astype(np.int16) if typed else None,
        edge_type_names=TYPES if typed else [],
        undirected=undirected,
        feat=rng.normal(size=(NODES, 3)).astype(np.float32),
    )


def options(**more):
    more = {"negative_destinations": "all"} | more  # as `has_negatives` counts
    return BuildOptions(split="time", order="given", negatives=1, **more)


def first_times(edges):
    """{unordered pair: time of its first edge}."""
    first = {}
    for u, v, time in edges:
        if u != v:
            pair = frozenset((u, v))
            first[pair] = min(time, first.get(pair, time))
    return first


def expected_parts(first, valid, test):
    """The pairs of each part by brute force; None if a part would be empty."""
    times = sorted(first.values(), reverse=True)
    num_valid, num_test = (round(s * len(times)) if s < 1 else s for s in (valid, test))
    if min(num_valid, num_test) < 1 or num_valid + num_test >= len(times):
        return None
    test_from = times[num_test - 1]
    rest = [time for time in times if time < test_from]
    if len(rest) <= num_valid:
        return None
    valid_from = rest[num_valid - 1]
    if rest[-1] >= valid_from:
        return None
    return {
        "train": {pair for pair, time in first.items() if time < valid_from},
        "valid": {pair for pair, time in first.items() if valid_from <= time < test_from},
        "test": {pair for pair, time in first.items() if time >= test_from},
    }


def stored_parts(store):
    csc = store.rows(0, store.num_nodes)
    ends = {"train": (csc.indices, csc.destinations())}
    for part in ("valid", "test"):
        pairs = store.links(part)
        ends[part] = pairs.src, pairs.dst
    return {
        part: [(int(u), int(v)) for u, v in zip(src, dst, strict=True)]
        for part, (src, dst) in ends.items()
    }


def pairs_of(edges):
    return {frozenset(edge) for edge in edges}


def is_sound(store):
    return [problem for _, problem in verification(store) if problem] == []


def has_negatives(raw):
    """Whether no node is linked to all others, for which there would be no negative."""
    links = defaultdict(set)
    for u, v in zip(raw.src.tolist(), raw.dst.tolist(), strict=True):
        links[u].add(v)
        links[v].add(u)
    return all(len(others - {u}) < NODES - 1 for u, others in links.items())


def test_a_link_without_negatives_is_dropped_also_if_a_dropped_edge_is_the_reason(tmp_path):
    # 0 -> 1 comes after 1 -> 0 and is dropped, but 1 is no negative of 0
    edges = [(0, 1, 2), (1, 0, 1), (0, 2, 0), (0, 3, 2), (4, 3, 2), (4, 1, 0), (5, 2, 0)]
    raw = graph_of(edges)
    store = build(tmp_path / "x.zarr", raw, options(valid=1, test=2, negative_destinations="seen"))
    found = stored_parts(store)
    assert found["valid"] == [(1, 0)]
    assert found["test"] == [(4, 3)]
    assert store.attrs["counts"]["held_out_links_dropped_without_negatives"] == 1


@settings(max_examples=30, deadline=None)
@given(EDGES, SIZES, SIZES, st.booleans(), st.booleans())
def test_parts_follow_one_another_in_time_and_every_pair_is_in_one(
    tmp_path_factory, edges, valid, test, undirected, typed
):
    raw = graph_of(edges, undirected=undirected, typed=typed)
    assume(has_negatives(raw))
    first = first_times(edges)
    expected = expected_parts(first, valid, test)
    path = tmp_path_factory.mktemp("t") / "x.zarr"
    if expected is None:
        with pytest.raises(UserError, match=r"would be empty|none"):
            build(path, raw, options(valid=valid, test=test))
        return
    store = build(path, raw, options(valid=valid, test=test))
    found = stored_parts(store)
    assert {part: pairs_of(found[part]) for part in found} == expected
    valid_from, test_from = (store.attrs["times"][key] for key in ("valid_from", "test_from"))
    last = {"train": valid_from, "valid": test_from, "test": 99}
    begin = {"train": -99, "valid": valid_from, "test": test_from}
    seen = defaultdict(list)  # the times of every direction
    for u, v, time in edges:
        seen[u, v].append(time)
        if undirected:
            seen[v, u].append(time)
    for part, stored in found.items():
        for edge in stored:
            assert any(begin[part] <= time < last[part] for time in seen[edge]), (part, edge)
    for part in ("valid", "test"):  # a direct edge of the part's own period is in it
        kept = {
            (u, v)
            for u, v, time in edges
            if frozenset((u, v)) in expected[part] and begin[part] <= time < last[part]
        }
        assert undirected or set(found[part]) == kept
    periods = {pair: part for part, pairs in expected.items() for pair in pairs}
    late = sum(u != v and time >= last[periods[frozenset((u, v))]] for u, v, time in edges)
    counts = store.attrs["counts"]
    assert counts.get("later_edges_of_earlier_links_dropped", 0) == late
    assert counts.get("self_loops", 0) == sum(u == v for u, v, _ in edges)
    assert is_sound(store)


@settings(max_examples=40, deadline=None)
@given(EDGES, st.booleans())
def test_the_training_graph_and_its_weights_are_those_of_the_past_alone(
    tmp_path_factory, edges, undirected
):
    raw = graph_of(edges, undirected=undirected, weighted=True)
    assume(has_negatives(raw) and expected_parts(first_times(edges), 2, 2) is not None)
    folder = tmp_path_factory.mktemp("t")
    store = build(folder / "x.zarr", raw, options(valid=2, test=2))
    past = raw.time < store.attrs["times"]["valid_from"]
    weight = np.zeros((NODES, NODES))
    np.add.at(weight, (raw.dst[past], raw.src[past]), raw.weight[past].astype(np.float32))
    if undirected:
        weight += weight.T
    np.fill_diagonal(weight, 0)
    csc = store.rows(0, NODES)
    found = np.zeros((NODES, NODES))
    found[csc.destinations(), csc.indices] = csc.weight
    assert found == pytest.approx(weight, rel=1e-6)
    total = np.where(weight.sum(1) > 0, weight.sum(1), 1)
    expected = weight @ raw.feat.astype(np.float64) / total[:, None]
    assert store.read("first_hop") == pytest.approx(expected, abs=1e-5)


def timed_communities(directed=False):
    raw = community_graph()
    raw.time = np.random.default_rng(3).integers(1_500_000_000, 1_600_000_000, len(raw.src))
    raw.undirected = not directed
    raw.label = None
    raw.label_names = []
    return raw


@pytest.mark.parametrize("encoder", ["sage", "gat"])
@pytest.mark.parametrize("directed", [False, True])
def test_no_edge_of_the_future_changes_a_score(tmp_path, encoder, directed):
    raw = timed_communities(directed)
    store = build(tmp_path / "x.zarr", raw, options(valid=0.1, test=0.1))
    first_hop = encoder == "sage"
    config = parse_config(
        {
            "store": str(store.path),
            "run": "r",
            "rounds": 1,
            "first_hop": first_hop,
            "model": {"encoder": encoder, "hidden": 8},
        }
    )
    task = make_task(config, store)
    model = make_model(config, store, task).eval()
    past = raw.time < store.attrs["times"]["valid_from"]
    split = {part: store.links(part) for part in ("valid", "test")}
    split["train"] = Pairs(raw.src[past], raw.dst[past])
    short = timed_communities(directed)
    short.src, short.dst, short.time = (a[past] for a in (raw.src, raw.dst, raw.time))
    short.link_split = split
    without = build(tmp_path / "y.zarr", short, BuildOptions(order="given", negatives=1))
    assert np.array_equal(embed(model, store), embed(model, without))
    assert not any("dropped" in name for name in without.attrs["counts"])


def test_first_times_are_found_on_disk_as_in_memory(tmp_path):
    raw = timed_communities()
    rng = np.random.default_rng(0)
    raw.src, raw.dst = rng.integers(0, 600, (2, 60_000))
    raw.time = rng.integers(0, 5000, 60_000)
    found = []
    for memory_bytes in (0, 10**9):
        links = links_by_time(
            checked_batches(raw),
            600,
            60_000,
            valid=0.1,
            test=1000,
            seed=4,
            directed=False,
            max_pairs=10**6,
            folder=tmp_path / str(memory_bytes),
            memory_bytes=memory_bytes,
        )
        found.append(links)
        assert not list((tmp_path / str(memory_bytes)).rglob("*.*"))
    left, right = found
    assert left.cuts == right.cuts
    assert (left.pairs.src == right.pairs.src).all()
    assert (left.pairs.dst == right.pairs.dst).all()
    assert (left.part_H == right.part_H).all()
    share = (left.pairs.src > left.pairs.dst).mean()
    assert 0.4 < share < 0.6  # either end is the source
    with pytest.raises(UserError, match=r"fit in memory. Give --valid and --test as counts"):
        links_by_time(
            checked_batches(raw),
            600,
            60_000,
            valid=0.1,
            test=1000,
            seed=4,
            directed=False,
            max_pairs=100,
            folder=tmp_path / "few",
            memory_bytes=10**9,
        )


def test_links_of_one_time_go_to_the_later_part_together(tmp_path):
    edges = [(0, 1, 1), (1, 2, 2), (2, 3, 3), (3, 4, 3), (4, 5, 4), (5, 6, 4), (0, 1, 4)]
    store = build(tmp_path / "x.zarr", graph_of(edges, undirected=True), options(valid=1, test=1))
    found = {part: pairs_of(pairs) for part, pairs in stored_parts(store).items()}
    assert found["test"] == pairs_of([(4, 5), (5, 6)])
    assert found["valid"] == pairs_of([(2, 3), (3, 4)])
    assert found["train"] == pairs_of([(0, 1), (1, 2)])
    counts = store.attrs["counts"]
    assert counts["held_out_links_added_for_equal_times"] == 2
    assert counts["later_edges_of_earlier_links_dropped"] == 1
    assert description(store)["times"] == "1 to 4 (edges); valid from 3, test from 4"


def test_a_partition_keeps_the_times(tmp_path):
    store = build(tmp_path / "x.zarr", timed_communities(), options())
    other = partition(store, tmp_path / "y.zarr", PartitionOptions("random", {}, 3, 10))
    assert other.attrs["times"] == store.attrs["times"]


def test_no_negative_is_an_edge_that_was_dropped_for_its_time(tmp_path):
    rng = np.random.default_rng(0)
    edges = [
        (u, v, int(time))
        for (u, v), time in zip(
            [(0, 1), (2, 3), (4, 5), (6, 7), (1, 2), (3, 4)], range(6), strict=True
        )
    ]
    # The answers 2 -> 0 .. 7 -> 0 come in the end: of pairs whose first edge is in training.
    edges += [(0, v, -5) for v in range(2, 7)] + [(v, 0, 50) for v in range(2, 7)]
    raw = graph_of(edges)
    for seed in range(8):
        path = tmp_path / f"{seed}.zarr"
        store = build(
            path, raw, BuildOptions(split="time", valid=1, test=1, negatives=50, seed=seed)
        )
        given_ids = store.node_ids().to_list()
        known = {(u, v) for u, v, _ in edges}
        for part in ("valid", "test"):
            pairs = store.links(part)
            for u, row in zip(pairs.src, pairs.neg, strict=True):
                drawn = {(given_ids[u], given_ids[v]) for v in row}
                assert not drawn & known
    assert rng is not None


def labelled_graph(seed=0, *, undirected=True, nodes=60, edges=400):
    rng = np.random.default_rng(seed)
    time = rng.integers(1990, 2020, nodes)
    time[rng.random(nodes) < 0.1] = NO_TIME
    src, dst = rng.integers(0, nodes, (2, edges))
    return RawGraph(
        src,
        dst,
        NodeIds.counted(nodes),
        undirected=undirected,
        feat=rng.normal(size=(nodes, 3)).astype(np.float32),
        label=rng.integers(-1, 3, nodes),
        label_names=["a", "b", "c"],
        node_time=time,
        weight=rng.random(edges) + 0.5,
    )


@pytest.mark.parametrize("undirected", [True, False])
def test_nodes_are_held_out_by_time_and_hear_only_of_the_past(tmp_path, undirected):
    raw = labelled_graph(undirected=undirected)
    store = build(tmp_path / "x.zarr", raw, options(hold_out="nodes", valid=0.2, test=10))
    time = raw.node_time
    parts = {part: store.labelled_nodes(part) for part in ("train", "valid", "test")}
    usable = np.flatnonzero((raw.label >= 0) & (time != NO_TIME))
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), usable)
    assert time[parts["train"]].max() < time[parts["valid"]].min()
    assert time[parts["valid"]].max() < time[parts["test"]].min()
    assert len(parts["test"]) >= 10
    assert np.sort(time[usable])[-10] == time[parts["test"]].min()
    unknown = int(((raw.label >= 0) & (time == NO_TIME)).sum())
    assert store.attrs["counts"]["labelled_nodes_without_time_in_no_part"] == unknown
    weight = np.zeros((60, 60))
    np.add.at(weight, (raw.dst, raw.src), raw.weight.astype(np.float32))
    if undirected:
        weight += weight.T
    np.fill_diagonal(weight, 0)
    late = (time[None] > time[:, None]) & (time[:, None] != NO_TIME)  # row v hears column u
    csc = store.rows(0, 60)
    found = np.zeros((60, 60))
    found[csc.destinations(), csc.indices] = csc.weight
    assert found == pytest.approx(np.where(late, 0, weight), rel=1e-6)
    assert not store.undirected
    sent = (
        np.c_[np.r_[raw.src, raw.dst], np.r_[raw.dst, raw.src]]
        if undirected
        else np.c_[raw.src, raw.dst]
    )
    dropped = int(late[sent[:, 1], sent[:, 0]].sum())
    assert store.attrs["counts"]["messages_from_the_future_dropped"] == dropped
    assert "messages go from earlier to later" in description(store)["edges"]
    assert description(store)["times"].endswith(f"test from {time[parts['test']].min()}")
    assert is_sound(store)


def test_later_nodes_change_no_embedding_of_earlier_ones(tmp_path):
    raw = labelled_graph()
    raw.node_time[raw.node_time == NO_TIME] = 2000
    store = build(tmp_path / "x.zarr", raw, options(hold_out="nodes", valid=0.2, test=0.2))
    config = parse_config(
        {
            "store": str(store.path),
            "run": "r",
            "rounds": 1,
            "task": {"name": "nodes"},
            "model": {"layers": 3, "hidden": 8},
        }
    )
    model = make_model(config, store, make_task(config, store)).eval()
    test_from = store.attrs["times"]["test_from"]
    changed = labelled_graph()
    changed.node_time = raw.node_time
    later = raw.node_time >= test_from
    changed.feat[later] += 100
    other = build(tmp_path / "y.zarr", changed, options(hold_out="nodes", valid=0.2, test=0.2))
    before, after = embed(model, store), embed(model, other)
    assert np.array_equal(before[~later], after[~later])
    assert not np.array_equal(before[later], after[later])
    assert torch.isfinite(torch.from_numpy(np.asarray(after))).all()


def plain():
    return SyntheticGraph(nodes=50, edges=200, communities=2)


def without_features():
    raw = labelled_graph()
    raw.feat = None
    return raw


def with_links():
    raw = timed_communities()
    raw.link_split = {"train": Pairs(raw.src[:9], raw.dst[:9])}
    return raw


def with_nodes():
    raw = labelled_graph()
    raw.node_split = {"train": np.flatnonzero(raw.label >= 0)}
    return raw


@pytest.mark.parametrize(
    ("make", "hold_out", "words"),
    [
        (plain, "links", "needs the time of every edge.*--time-column"),
        (plain, "nodes", "needs the times of the nodes"),
        (without_features, "nodes", "needs features.* give --features"),
        (with_links, "links", "comes with its own split"),
        (with_nodes, "nodes", "comes with its own split"),
    ],
)
def test_a_split_by_time_without_times_or_beside_a_given_one_is_refused(
    tmp_path, make, hold_out, words
):
    with pytest.raises(UserError, match=words):
        build(tmp_path / "x.zarr", make(), options(hold_out=hold_out))
    assert not (tmp_path / "x.zarr").exists()


def test_the_command_line_knows_the_split(tmp_path, hvdtma):
    status, _, said = hvdtma(
        "build", tmp_path / "x.zarr", "synthetic:nodes=500,edges=2000", "--split", "time"
    )
    assert status == 2
    assert "--split time needs the time of every edge" in said
    status, _, said = hvdtma(
        "build", tmp_path / "x.zarr", "synthetic:nodes=500,edges=2000", "--split", "late"
    )
    assert status == 2
    assert "split is 'late'; valid: random, time" in said


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (np.array([1.5, 2, 3]), "time of a batch of edges is float64; valid: integers"),
        (np.array([1, 2]), "time has 2 rows; there are 3 edges"),
        (np.array([1, 2, 2**63], np.uint64), "times must fit 64 bits"),
        (np.array([1, NO_TIME, 3]), "the edge from 1 to 2 has no time"),
    ],
)
def test_times_that_are_no_integers_of_every_edge_are_refused(tmp_path, time, words):
    raw = RawGraph(np.arange(3), np.arange(1, 4), NodeIds.counted(4), time=time)
    with pytest.raises(UserError, match=words):
        build(tmp_path / "x.zarr", raw, options(valid=1, test=1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30), st.data())
def test_the_nth_largest_is_that_of_sorting(numbers, data):
    n = data.draw(st.integers(1, len(numbers)))
    values = np.array(numbers)
    pieces = np.array_split(values, 3)
    expected = sorted(numbers, reverse=True)[n - 1]
    assert nth_largest(lambda: pieces, n, min(numbers), max(numbers)) == expected
