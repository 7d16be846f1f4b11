"""`build`: what went in comes back under the user's ids, cleaned and held out by the rules."""

import copy
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import TYPES, community_graph, small_csc, stored_edges_by_id, typed_graph

from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.describe import description
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.graph.verify import verification
from hvdtma.storage.node_ids import NodeIds


def is_sound(store):
    return [what for what, wrong in verification(store) if wrong] == []


def held_out_by_id(store, part):
    pairs, ids = store.links(part), store.node_ids().to_list()
    types = np.zeros(len(pairs), int) if pairs.edge_type is None else pairs.edge_type
    return [(ids[u], ids[v], int(t)) for u, v, t in zip(pairs.src, pairs.dst, types, strict=True)]


def nodes_by_id(store, part):
    ids = store.node_ids().to_list()
    return {ids[node] for node in store.labelled_nodes(part)}


def unordered(edges):
    return {frozenset(edge[:2]) for edge in edges}


def mirrored(edges):
    return sorted([*edges, *((v, u, t) for u, v, t in edges)])


def given_split(raw, *, neg=None):
    """The first edges of a graph as given splits: 30 valid, 40 test, the rest train."""
    cuts = {"valid": slice(0, 30), "test": slice(30, 70), "train": slice(70, None)}
    types = raw.edge_type
    return {
        part: Pairs(
            raw.src[rows],
            raw.dst[rows],
            neg if part == "test" else None,
            None if types is None else types[rows],
        )
        for part, rows in cuts.items()
    }


@pytest.mark.parametrize("order", ["random", "given"])
@pytest.mark.parametrize("make", [community_graph, typed_graph])
def test_every_edge_comes_back_under_its_ids_in_one_part(make, order, tmp_path):
    raw = make()
    store = build(tmp_path / "x.zarr", raw, BuildOptions(order=order, negatives=5))
    ids = raw.node_id.to_list()
    types = np.zeros(len(raw.src), int) if raw.edge_type is None else raw.edge_type
    expected = {(ids[u], ids[v], int(t)) for u, v, t in zip(raw.src, raw.dst, types, strict=True)}
    expected = {edge for edge in expected if edge[0] != edge[1]}
    train = stored_edges_by_id(store)
    held_out = held_out_by_id(store, "valid") + held_out_by_id(store, "test")
    if raw.undirected:
        assert train == mirrored([edge for edge in train if edge[0] < edge[1]])
        assert len(train) == len(set(train))
        assert unordered(train) | unordered(held_out) == unordered(expected)
        assert len(train) / 2 + len(held_out) == len(unordered(expected))
    else:
        assert Counter(train + held_out) == Counter(expected)
    assert not unordered(train) & unordered(held_out)
    assert is_sound(store)


@pytest.mark.parametrize("order", ["random", "given"])
def test_ids_features_and_labels_stay_together(order, tmp_path, community_raw):
    options = BuildOptions(order=order, negatives=5)
    store = build(tmp_path / "x.zarr", community_raw, options)
    position = store.read("feat")[:, 0].astype(int)  # it was made the node's position
    if order == "given":
        assert (position == np.arange(600)).all()
    else:
        assert (position != np.arange(600)).sum() > 500
    assert store.node_ids().to_list() == community_raw.node_id.take(position).to_list()
    assert min(store.node_ids().to_list()) > 2**31
    assert (store.read("feat") == community_raw.feat[position]).all()
    assert (store.read("label") == community_raw.label[position]).all()
    assert store.label_names == community_raw.label_names


def test_the_order_does_not_change_the_split(tmp_path, community_raw):
    stores = [
        build(tmp_path / f"{order}.zarr", community_raw, BuildOptions(order=order, negatives=5))
        for order in ("random", "given")
    ]
    for part in ("valid", "test"):
        assert held_out_by_id(stores[0], part) == held_out_by_id(stores[1], part)
        assert nodes_by_id(stores[0], part) == nodes_by_id(stores[1], part)


@pytest.mark.parametrize("make", [community_graph, typed_graph])
def test_the_same_seed_gives_the_same_bytes_and_another_others(make, tmp_path):
    raw = make()
    raw.feat = None if raw.label is None else raw.feat  # one of them with features of its own
    found = {
        name: build(
            tmp_path / name, raw, BuildOptions(seed=seed, negatives=5, feature_dim=4)
        ).attrs["checksums"]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    }
    assert found["a"] == found["b"]
    for name in ("indptr", "indices", "feat", "split/valid/src", "split/test/neg"):
        assert found["a"][name] != found["c"][name], name


def test_the_graph_that_is_built_is_not_changed(tmp_path, typed_raw):
    raw = copy.deepcopy(typed_raw)
    raw.link_split = given_split(raw)
    before = copy.deepcopy(raw)
    first, second = (
        build(tmp_path / f"{seed}.zarr", raw, BuildOptions(seed=seed, order="given", negatives=9))
        for seed in (1, 2)
    )
    for part, pairs in raw.link_split.items():
        assert pairs.neg is None
        assert (pairs.src == before.link_split[part].src).all()
    assert (raw.src == before.src).all()
    assert (raw.feat == before.feat).all()
    assert (first.links("test").neg != second.links("test").neg).any()


@settings(max_examples=25, deadline=None)
@given(small_csc(most_nodes=12), st.booleans(), st.integers(0, 99))
def test_nothing_leaks_from_any_graph(csc, undirected, seed):
    raw = RawGraph(
        csc.indices.astype(np.int64),
        csc.destinations().astype(np.int64),
        NodeIds.counted(csc.num_nodes),
        undirected=undirected,
        edge_type=csc.edge_type,
        edge_type_names=TYPES,
        feat=np.eye(csc.num_nodes, dtype=np.float32),
    )
    with tempfile.TemporaryDirectory() as folder:
        options = BuildOptions(valid=1, test=1, negatives=20, seed=seed, block_nodes=2)
        try:
            store = build(Path(folder) / "x.zarr", raw, options)
        except UserError as error:
            assert "leave none to train on" in str(error) or "would be empty" in str(error)
            return
        train = unordered(stored_edges_by_id(store))
        linked = set(zip(raw.src.tolist(), raw.dst.tolist(), strict=True))
        ids = store.node_ids().to_list()
        for part in ("valid", "test"):
            assert not train & unordered(held_out_by_id(store, part))
            pairs = store.links(part)
            for u, row in zip(pairs.src, pairs.neg, strict=True):
                for v in row:
                    assert u != v
                    assert (ids[u], ids[v]) not in linked
                    assert not undirected or (ids[v], ids[u]) not in linked
        assert is_sound(store)


@pytest.mark.parametrize("make", [community_graph, typed_graph])
def test_the_store_does_not_depend_on_the_memory(make, tmp_path, monkeypatch):
    whole = build(tmp_path / "whole.zarr", make(), BuildOptions(negatives=5))
    monkeypatch.setattr(
        MemoryBudget, "available", lambda *_: 4000
    )  # bytes: many buckets, tiles, bands
    pieces = build(tmp_path / "pieces.zarr", make(), BuildOptions(negatives=5))
    assert pieces.attrs["checksums"] == whole.attrs["checksums"]
    assert is_sound(pieces)
    assert not (pieces.path / ".scratch").exists()


def test_a_disk_that_is_too_small_is_known_before(tmp_path, monkeypatch, community_raw):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"needs up to 0\.\d GB of disk.*0\.0 GB free"):
        build(tmp_path / "x.zarr", community_raw, BuildOptions())
    assert not list(tmp_path.iterdir())


def test_loops_and_repeats_are_dropped_and_counted(tmp_path):
    #                0-1 thrice, 2-2 a loop, 1-2 with two types, then enough to hold out
    src = np.r_[0, 1, 0, 2, 1, 2, np.arange(3, 40)]
    dst = np.r_[1, 0, 1, 2, 2, 1, np.arange(4, 41)]
    kind = np.r_[1, 2, 1, 0, 2, 0, np.ones(37, int)].astype(np.int16)
    raw = RawGraph(
        src,
        dst,
        NodeIds.counted(41),
        kind,
        undirected=True,
        edge_type_names=TYPES,
        feat=np.ones((41, 2)),
    )
    store = build(tmp_path / "u.zarr", raw, BuildOptions(valid=1, test=1, negatives=2))
    assert store.attrs["counts"] == {"self_loops": 1, "duplicate_edges": 3}
    everything = stored_edges_by_id(store)
    everything += held_out_by_id(store, "valid") + held_out_by_id(store, "test")
    kinds = {frozenset((u, v)): kind for u, v, kind in everything}
    assert kinds[frozenset((0, 1))] == 1  # of types 1 and 2, the one named first
    assert kinds[frozenset((1, 2))] == 0
    raw.undirected = False
    store = build(tmp_path / "d.zarr", raw, BuildOptions(valid=1, test=1, negatives=2))
    assert store.attrs["counts"] == {"self_loops": 1, "duplicate_edges": 1}
    assert store.edge_type_names == TYPES


@pytest.mark.parametrize("with_negatives", [True, False])
@pytest.mark.parametrize("make", [community_graph, typed_graph])
def test_given_splits_are_kept_and_taken_out_of_message_passing(make, with_negatives, tmp_path):
    raw = make()
    neg = np.random.default_rng(0).integers(0, raw.num_nodes, (40, 6)) if with_negatives else None
    raw.link_split = given_split(raw, neg=neg)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(negatives=7, seed=3))
    ids = raw.node_id.to_list()
    train = unordered(stored_edges_by_id(store))
    for part in ("valid", "test"):
        pairs = raw.link_split[part]
        types = np.zeros(len(pairs), int) if pairs.edge_type is None else pairs.edge_type
        expected = zip(pairs.src, pairs.dst, types, strict=True)
        assert held_out_by_id(store, part) == [(ids[u], ids[v], int(t)) for u, v, t in expected]
        assert not train & unordered(held_out_by_id(store, part))
    assert store.links("valid").neg.shape == (30, 7)
    if with_negatives:
        back = store.node_ids()
        kept = [[back[v] for v in row] for row in store.links("test").neg]
        assert kept == [[ids[v] for v in row] for row in neg]
    held_out = {
        frozenset(pair)
        for part in ("valid", "test")
        for pair in zip(raw.link_split[part].src, raw.link_split[part].dst, strict=True)
    }
    between = zip(raw.src, raw.dst, strict=True)
    left = {frozenset(pair) for pair in between if pair[0] != pair[1]} - held_out
    assert train == {frozenset(ids[node] for node in pair) for pair in left}
    assert is_sound(store)


def test_features_made_of_the_graph_see_no_held_out_link(tmp_path, community_raw):
    raw = copy.deepcopy(community_raw)
    raw.feat, raw.link_split = None, given_split(community_raw)
    with_links = build(tmp_path / "a.zarr", raw, BuildOptions(feature_dim=8, negatives=2))
    held_out = [raw.link_split[part] for part in ("valid", "test")]
    gone = {frozenset(p) for pairs in held_out for p in zip(pairs.src, pairs.dst, strict=True)}
    between = zip(raw.src, raw.dst, strict=True)
    stays = np.array([frozenset(pair) not in gone for pair in between])
    raw.src, raw.dst = raw.src[stays], raw.dst[stays]
    without = build(tmp_path / "b.zarr", raw, BuildOptions(feature_dim=8, negatives=2))
    assert with_links.feature_dim == 8
    assert (with_links.read("feat") == without.read("feat")).all()


def test_half_precision_is_kept_and_has_its_first_hop(tmp_path, community_raw):
    options = BuildOptions(feature_dtype="float16", negatives=2)
    store = build(tmp_path / "x.zarr", community_raw, options)
    assert store.read("feat").dtype == np.float16
    assert store.read("first_hop").dtype == np.float16
    assert is_sound(store)


def test_holding_out_nodes_keeps_every_link(tmp_path, community_raw):
    options = BuildOptions(hold_out="nodes", valid=30, test=50)
    store = build(tmp_path / "x.zarr", community_raw, options)
    ids, ends = (
        community_raw.node_id.to_list(),
        zip(community_raw.src, community_raw.dst, strict=True),
    )
    assert unordered(stored_edges_by_id(store)) == {
        frozenset((ids[u], ids[v])) for u, v in ends if u != v
    }
    parts = [nodes_by_id(store, part) for part in ("train", "valid", "test")]
    labelled = {ids[node] for node in np.flatnonzero(community_raw.label >= 0)}
    assert [len(part) for part in parts] == [len(labelled) - 80, 30, 50]
    assert set.union(*parts) == labelled
    assert store.links("test") is None


def test_a_given_split_of_nodes_is_kept(tmp_path, community_raw):
    raw = copy.deepcopy(community_raw)
    labelled = np.flatnonzero(raw.label >= 0)
    raw.node_split = {"train": labelled[:9], "valid": labelled[20:25], "test": labelled[300:]}
    store = build(tmp_path / "x.zarr", raw, BuildOptions(hold_out="nodes"))
    for part, nodes in raw.node_split.items():
        assert nodes_by_id(store, part) == set(raw.node_id.take(nodes).to_list())
    raw.node_split["valid"] = np.flatnonzero(raw.label < 0)[:4]
    with pytest.raises(UserError, match="valid split has 4 nodes that have no label"):
        build(tmp_path / "y.zarr", raw, BuildOptions(hold_out="nodes"))


def star(num_nodes=30):
    """Every node linked to node 0 only."""
    return RawGraph(
        np.zeros(num_nodes - 1, int),
        np.arange(1, num_nodes),
        NodeIds.counted(num_nodes),
        feat=np.ones((num_nodes, 2)),
    )


def spoil(**values):
    def change(raw):
        for name, value in values.items():
            setattr(raw, name, value)

    return change


def nan_feature(raw):
    raw.feat = raw.feat.copy()
    raw.feat[7, 1] = np.nan


def given_empty(raw):
    raw.link_split = given_split(raw)
    raw.link_split["valid"] = Pairs(raw.src[:0], raw.dst[:0])


def given_everything(raw):
    raw.link_split = given_split(raw)
    raw.src, raw.dst = raw.src[:70], raw.dst[:70]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (None, {"valid": 0.00001}, "valid split would be empty"),
        (None, {"valid": 3000, "test": 3000}, "leave none to train on"),
        (None, {"valid": 0.5, "test": 0.5}, "leave none to train on"),
        (given_empty, {}, "given valid split is empty"),
        (given_everything, {}, "given train split is empty, or all of its pairs are held out"),
        (spoil(label=None), {"hold_out": "nodes"}, "needs labels"),
        (nan_feature, {}, r"values that are not finite \(as float32\).* column 1"),
        (spoil(feat=np.full((600, 2), 1e6)), {"feature_dtype": "float16"}, "as float16"),
        (spoil(feat=np.ones((599, 2))), {}, "feat has 599 rows; the graph has 600 nodes"),
        (spoil(dst=np.zeros(5, int)), {}, "dst has 5 rows; there are 3000 edges"),
        (spoil(src=np.full(3000, 600)), {}, "src holds 600 to 600; valid: 0 to 599"),
        (spoil(label=np.full(600, 6)), {}, "label holds 6 to 6; valid: -1 to 5"),
        (None, {"valid": 0}, "--valid is 0; it must be above 0"),
        (None, {"negatives": 0}, "negatives is 0; it must be a whole number, at least 1"),
        (None, {"order": "metis"}, "order is 'metis'; valid: random, given"),
    ],
)
def test_bad_input_gives_one_clear_error_and_leaves_nothing(change, options, message, tmp_path):
    raw = community_graph()
    if change:
        change(raw)
    with pytest.raises(UserError, match=message):
        build(tmp_path / "x.zarr", raw, BuildOptions(**options))
    assert list(tmp_path.iterdir()) == []


def test_a_directed_star_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"linked to every node .* there is no negative .*undirected"
    ):
        build(tmp_path / "x.zarr", star(), BuildOptions(valid=2, test=2, negatives=1))


def test_the_description_counts_what_is_there(community_store, typed_store):
    said = description(community_store)
    assert said["nodes"] == "600"
    assert said["edges"].startswith(f"{community_store.num_edges:,} for training, undirected")
    assert said["blocks"] == "60 of 10 to 10 nodes"
    assert said["ids"] == "integers"
    assert "with 20 negatives each" in said["test split"]
    said = description(typed_store)
    assert said["ids"] == "strings"
    counts = np.bincount(typed_store.read("edge_type"))
    assert said["edge types"] == ", ".join(
        f"{name} {count:,}" for name, count in zip(TYPES, counts, strict=True)
    )
