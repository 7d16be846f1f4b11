"""Negatives are of the kind that the end they replace is of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sided_graphs import between, graph_of, held_out, is_sound
from small_graphs import community_graph, typed_graph

from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.builder.sides import SideRecorder
from hvdtma.graph.candidates import CandidateRules
from hvdtma.graph.describe import description
from hvdtma.graph.source import Pairs
from hvdtma.partitioning import PartitionOptions, partition

USERS, ITEMS, CITIES = np.arange(60), np.arange(60, 100), np.arange(100, 110)
OPTIONS = {"valid": 40, "test": 60, "negatives": 30, "block_nodes": 10}


@pytest.mark.parametrize("order", ["random", "given"])
def test_a_destination_is_replaced_by_a_destination(tmp_path, order):
    raw = graph_of([between(USERS, ITEMS, 800)], nodes=100)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(order=order, **OPTIONS))
    links = set(zip(raw.src.tolist(), raw.dst.tolist(), strict=True))
    for user, item, negatives, _ in held_out(store):
        assert user in USERS and item in ITEMS
        assert set(negatives) <= set(ITEMS)
        assert not {(user, other) for other in negatives.tolist()} & links
    assert description(store)["negatives"] == (
        "drawn from the 40 nodes seen as destinations, which are no sources"
    )
    assert is_sound(store)


@pytest.mark.parametrize("order", ["random", "given"])
def test_either_end_of_an_undirected_link_is_replaced_from_its_own_side(tmp_path, order):
    raw = graph_of([between(USERS, ITEMS, 800)], undirected=True, nodes=100)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(order=order, **OPTIONS))
    links = set(zip(raw.src.tolist(), raw.dst.tolist(), strict=True))
    links |= {(v, u) for u, v in links}
    turned = 0
    for src, dst, negatives, _ in held_out(store):
        turned += src in ITEMS
        assert set(negatives) <= set(USERS if dst in USERS else ITEMS)
        assert not {(src, other) for other in negatives.tolist()} & links
    assert 20 < turned < 80
    said = description(store)["negatives"]
    assert said == "drawn from the 60 nodes of one side or the 40 of the other"
    assert is_sound(store)


@pytest.mark.parametrize("undirected", [False, True])
def test_negatives_are_uniform_over_the_side(tmp_path, undirected):
    raw = graph_of([between(USERS, ITEMS, 300)], undirected=undirected, nodes=100)
    options = BuildOptions(**OPTIONS | {"negatives": 4000, "valid": 5, "test": 5})
    store = build(tmp_path / "x.zarr", raw, options)
    links = set(zip(raw.src.tolist(), raw.dst.tolist(), strict=True))
    links |= {(v, u) for u, v in links}
    values = []
    for src, dst, negatives, _ in held_out(store):
        side = USERS if dst in USERS else ITEMS
        free = np.array([node for node in side if (src, node) not in links])
        count = np.bincount(negatives, minlength=100)
        assert count.sum() == count[free].sum()
        values.append(chisquare(count[free]).pvalue)
    assert min(values) > 1e-4
    assert "with repeats: down to 40 nodes" in description(store)["negatives"]


def test_every_edge_type_has_its_own_sides(tmp_path):
    raw = graph_of(
        [between(USERS, ITEMS, 500), between(USERS, CITIES, 100), between(ITEMS, CITIES, 100)],
        types=["buys", "lives in", "is made in"],
    )
    store = build(tmp_path / "x.zarr", raw, BuildOptions(**OPTIONS))
    sides = [ITEMS, CITIES, CITIES]
    seen = set()
    for _, dst, negatives, kind in held_out(store):
        seen.add(kind)
        assert dst in sides[kind]
        assert set(negatives) <= set(sides[kind])
    assert seen == {0, 1, 2}
    assert description(store)["negatives"].startswith(
        "drawn by edge type: buys: the 40 nodes seen as destinations, which are no sources; lives"
    )


def test_links_within_a_kind_have_negatives_of_this_kind(tmp_path):
    raw = graph_of(
        [between(USERS, USERS[::-1], 500), between(USERS, ITEMS, 500)], types=["follows", "buys"]
    )
    store = build(tmp_path / "x.zarr", raw, BuildOptions(**OPTIONS))
    for _, _, negatives, kind in held_out(store):
        assert set(negatives) <= set(ITEMS if kind else USERS)
    assert "follows: the 60 nodes of its kind" in description(store)["negatives"]


@pytest.mark.parametrize("undirected", [False, True])
def test_graphs_of_one_kind_have_negatives_among_all_nodes(tmp_path, undirected):
    raw = typed_graph()
    raw.undirected = undirected
    store = build(tmp_path / "x.zarr", raw, BuildOptions(negatives=100, valid=30, test=30))
    assert len(np.unique(np.concatenate([row for _, _, row, _ in held_out(store)]))) == 200
    assert "candidates" not in store
    assert description(store)["negatives"] == "drawn from all nodes"


def test_the_negatives_of_a_graph_of_one_kind_do_not_depend_on_the_option(tmp_path):
    for option in ("auto", "all"):
        options = BuildOptions(negatives=5, negative_destinations=option)
        build(tmp_path / f"{option}.zarr", community_graph(), options)
    sums = [
        build(
            tmp_path / f"{option}-again.zarr",
            community_graph(),
            BuildOptions(negatives=5, negative_destinations=option),
        ).attrs["checksums"]
        for option in ("auto", "all")
    ]
    assert sums[0] == sums[1]


def test_all_and_seen_are_options(tmp_path):
    raw = graph_of([between(USERS, ITEMS, 800)])  # cities have no links
    store = build(tmp_path / "all.zarr", raw, BuildOptions(negative_destinations="all", **OPTIONS))
    drawn = np.unique(np.concatenate([row for _, _, row, _ in held_out(store)]))
    assert drawn.tolist() == list(range(110))
    overlapping = graph_of([between(np.arange(60), np.arange(50, 100), 800)], nodes=100)
    store = build(
        tmp_path / "seen.zarr", overlapping, BuildOptions(negative_destinations="seen", **OPTIONS)
    )
    drawn = np.unique(np.concatenate([row for _, _, row, _ in held_out(store)]))
    assert drawn.tolist() == list(range(50, 100))
    with pytest.raises(UserError, match="negative_destinations is 'some'; valid: auto, all, seen"):
        BuildOptions(negative_destinations="some")


def test_self_loops_put_no_node_on_both_sides(tmp_path):
    edges = np.concatenate([between(USERS, ITEMS, 800), np.stack([USERS, USERS])], axis=1)
    store = build(tmp_path / "x.zarr", graph_of([edges], nodes=100), BuildOptions(**OPTIONS))
    assert store.candidate_rules.reasons == ("sides",)


def split_of(pairs, neg=None):
    valid, test, train = pairs[:, :20], pairs[:, 20:50], pairs[:, 50:]
    return {"train": Pairs(*train), "valid": Pairs(*valid), "test": Pairs(*test, neg)}


def test_given_splits_are_drawn_for_in_the_same_way_and_given_negatives_are_kept(tmp_path):
    pairs = between(USERS, ITEMS, 800)
    pairs = pairs[:, np.random.default_rng(1).permutation(pairs.shape[1])]
    neg = np.random.default_rng(0).integers(0, 100, (30, 4))
    raw = graph_of([pairs[:, 50:]], nodes=100, link_split=split_of(pairs, neg))
    store = build(tmp_path / "x.zarr", raw, BuildOptions(**OPTIONS))
    ids = np.array(store.node_ids().to_list())
    assert set(ids[store.links("valid").neg].ravel()) <= set(ITEMS)
    assert (ids[store.links("test").neg] == neg).all()
    assert "those of test were given" in description(store)["negatives"]


def test_an_item_that_only_a_held_out_link_names_is_on_the_side_of_items(tmp_path):
    pairs = between(USERS, ITEMS[:-1], 400)
    split = split_of(pairs)
    split["valid"].dst[0] = ITEMS[-1]
    raw = graph_of([pairs[:, 50:]], nodes=100, link_split=split)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(**OPTIONS | {"negatives": 500}))
    ids = np.array(store.node_ids().to_list())
    assert ITEMS[-1] in ids[store.links("test").neg]


def test_a_partition_keeps_the_candidates(tmp_path):
    raw = graph_of(
        [between(USERS, ITEMS, 500), between(USERS, CITIES, 100)], types=["buys", "lives in"]
    )
    store = build(tmp_path / "x.zarr", raw, BuildOptions(**OPTIONS))
    moved = partition(store, tmp_path / "y.zarr", PartitionOptions("random", seed=5))
    assert moved.candidate_rules == store.candidate_rules
    for number in range(2):
        of_set = []
        for graph in (store, moved):
            ids = np.array(graph.node_ids().to_list())
            of_set.append(set(ids[graph.candidates().nodes(number)].tolist()))
        assert of_set[0] == of_set[1] == set((ITEMS, CITIES)[number].tolist())
    assert is_sound(moved)


def test_the_candidates_do_not_depend_on_the_memory(tmp_path, monkeypatch):
    def make(name):
        raw = graph_of([between(USERS, ITEMS, 800)], undirected=True, nodes=100)
        return build(tmp_path / name, raw, BuildOptions(**OPTIONS)).attrs["checksums"]

    whole = make("whole.zarr")
    monkeypatch.setattr(MemoryBudget, "available", lambda *_: 4000)  # bytes
    assert make("pieces.zarr") == whole


EDGES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 2)), min_size=1, max_size=25
)


@settings(max_examples=200, deadline=None)
@given(EDGES, st.booleans(), st.sampled_from(["auto", "seen"]), st.integers(1, 3))
def test_the_sets_are_those_of_the_rule(edges, undirected, option, batches):
    """The rule, written out with Python's sets."""
    recorder = SideRecorder(9, 3, undirected, option)
    for batch in np.array_split(np.array(edges), batches):
        recorder.add(batch[:, 0], batch[:, 1], batch[:, 2].astype(np.int16))
    order = np.random.default_rng(0).permutation(9)
    candidates = recorder.candidates(order)
    roles = {}
    for u, v, kind in edges:
        if u != v:
            roles.setdefault((kind, 0), set()).add(u)
            roles.setdefault((kind, 1), set()).add(v)
    kinds = [set(nodes) for nodes in roles.values()]
    merged = True
    while merged:
        merged = False
        for a in kinds:
            for b in kinds:
                if a is not b and a & b:
                    a |= b
                    kinds.remove(b)
                    merged = True
                    break
            if merged:
                break
    for kind in range(3):
        src, dst = roles.get((kind, 0), set()), roles.get((kind, 1), set())
        everything = set(range(9))
        kind_of = [nodes for nodes in kinds if dst and dst <= nodes and src <= nodes]
        if not src:
            expected = [everything, everything]
        elif option == "seen":
            expected = [src, dst] if not src & dst else [src | dst] * 2
            expected = expected if undirected else [dst, dst]
        elif not src & dst and min(len(src), len(dst)) > 1:
            expected = [src, dst] if undirected else [dst, dst]
        elif kind_of and len(kinds) > 1:
            expected = kind_of * 2
        else:
            expected = [everything] * 2
        for number, nodes in zip(
            (candidates.rules.src[kind], candidates.rules.dst[kind]), expected, strict=True
        ):
            found = range(9) if number < 0 else order[candidates.nodes(number)]
            assert set(found) == nodes
            if number >= 0:
                assert candidates.rules.sizes[number] == len(nodes)


def test_a_store_without_rules_draws_from_all_nodes():
    assert CandidateRules.of_attrs({}) == CandidateRules()


@pytest.mark.parametrize("num_types", [4, 5, 20, 200])
def test_many_edge_types_are_recorded_alike(num_types):
    """Type t links node 2 t to a node of the upper half."""
    recorder = SideRecorder(1000, num_types, False, "auto")
    rng = np.random.default_rng(0)
    types = np.repeat(np.arange(num_types), 3)
    src, dst = types * 2 + np.tile([0, 0, 1], num_types), 500 + rng.integers(0, 500, len(types))
    recorder.add(src, dst, types.astype(np.int16))
    candidates = recorder.candidates(np.zeros(0, np.int32))
    for kind in range(num_types):
        nodes = np.unique(dst[types == kind])
        if len(nodes) > 1:
            assert candidates.nodes(candidates.rules.dst[kind]).tolist() == nodes.tolist()
