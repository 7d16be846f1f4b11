"""A link without negatives is turned around or stays in training, and the build says so."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sided_graphs import graph_of, held_out, is_sound

from hvdtma.core.errors import UserError
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.source import Pairs
from hvdtma.graph.splits import LinkPicker

TURNED, KEPT = "held_out_links_turned_around", "links_kept_for_training_without_negatives"


def star(leaves=40):
    return np.stack([np.zeros(leaves, int), np.arange(1, leaves + 1)])


def ring(first, number):
    nodes = first + np.arange(number)
    return np.stack([nodes, np.roll(nodes, -1)])


@pytest.mark.parametrize("turned", [False, True])
def test_the_leaves_of_a_star_are_the_sources(tmp_path, turned):
    edges = star()[::-1] if turned else star()
    raw = graph_of([edges], undirected=True, nodes=41)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(valid=4, test=5, negatives=60))
    links = list(held_out(store))
    assert len(links) == 9
    for leaf, centre, negatives, _ in links:
        assert centre == 0 and leaf > 0
        assert set(negatives) <= set(range(1, 41)) - {leaf}
    assert 0 < store.attrs["counts"][TURNED] < 9
    assert KEPT not in store.attrs["counts"]
    assert is_sound(store)


def test_a_node_that_is_linked_to_every_other_is_no_source(tmp_path):
    raw = graph_of([star(30), ring(1, 30)], undirected=True, nodes=31)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(valid=20, test=20, negatives=10))
    assert all(src > 0 for src, _, _, _ in held_out(store))
    assert is_sound(store)


def test_links_from_a_full_source_stay_in_training_in_a_directed_graph(tmp_path):
    raw = graph_of([star(30), ring(1, 30)], nodes=31)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(valid=20, test=20, negatives=10))
    links = list(held_out(store))
    kept = store.attrs["counts"][KEPT]
    assert kept > 5
    assert len(links) == 40 - kept
    assert all(src > 0 for src, _, _, _ in links)
    assert store.num_edges == 60 - len(links)
    assert TURNED not in store.attrs["counts"]
    assert is_sound(store)


def test_a_user_who_bought_every_item_is_no_source(tmp_path):
    rng = np.random.default_rng(0)
    some = np.stack([rng.integers(1, 50, 200), rng.integers(50, 60, 200)])
    every = np.stack([np.zeros(10, int), np.arange(50, 60)])
    raw = graph_of([np.concatenate([some, every], axis=1)], undirected=True, nodes=60)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(valid=0.3, test=0.3, negatives=10))
    found = [(src, dst, set(neg.tolist())) for src, dst, neg, _ in held_out(store)]
    assert all(src > 0 for src, _, _ in found)
    of_user = [neg for _, dst, neg in found if dst == 0]
    assert of_user
    assert all(neg <= set(range(1, 50)) for neg in of_user)


@pytest.mark.parametrize("undirected", [False, True])
def test_a_split_without_any_negative_is_refused(tmp_path, undirected):
    """Every user bought every item."""
    edges = np.stack([np.repeat(np.arange(8), 6), 8 + np.tile(np.arange(6), 8)])
    raw = graph_of([edges], undirected=undirected, nodes=14)
    with pytest.raises(
        UserError, match=r"valid split would be empty: its 3 links have .* no negative"
    ):
        build(tmp_path / "x.zarr", raw, BuildOptions(valid=3, test=3, negatives=2))
    assert list(tmp_path.iterdir()) == []


def test_repeated_links_make_no_source_full(tmp_path):
    """Every user bought one item many times."""
    edges = np.stack([np.repeat(np.arange(30), 20), 30 + np.repeat(np.arange(30) % 10, 20)])
    raw = graph_of([edges], undirected=True, nodes=40)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(valid=5, test=5, negatives=9))
    assert len(list(held_out(store))) == 10
    assert not {TURNED, KEPT} & set(store.attrs["counts"])


def test_given_pairs_are_turned_around_or_refused_but_never_dropped(tmp_path):
    edges = np.concatenate([star(30), ring(1, 30)], axis=1)
    held = {"valid": edges[:, :3], "test": edges[:, 40:43]}
    split = {part: Pairs(*pairs) for part, pairs in held.items()}
    split["train"] = Pairs(*edges[:, 3:40])
    raw = graph_of([edges[:, 3:40]], undirected=True, nodes=31, link_split=split)
    store = build(tmp_path / "x.zarr", raw, BuildOptions(negatives=5))
    found = {frozenset((int(u), int(v))) for u, v, _, _ in held_out(store)}
    assert found == {frozenset(pair) for pairs in held.values() for pair in pairs.T.tolist()}
    assert all(src > 0 for src, _, _, _ in held_out(store))
    assert store.attrs["counts"][TURNED] == 3
    raw.undirected = False
    with pytest.raises(UserError, match=r"3 pairs of the given valid split have a source .*neg"):
        build(tmp_path / "y.zarr", raw, BuildOptions(negatives=5))
    split["valid"].neg = np.full((3, 5), 7)
    assert len(build(tmp_path / "z.zarr", raw, BuildOptions(negatives=5)).links("valid")) == 3


def picked_pairs(raw, seed):
    """The pairs that the build picks, whether they have negatives or not."""
    of_split = np.random.default_rng(seed).spawn(4)[1]
    picker = LinkPicker(0.4, 0.4, int(of_split.integers(2**63)), 1000)
    picker.add(raw.src, raw.dst)
    return set(map(frozenset, np.stack([*vars(picker.pairs()[0]).values()][:2]).T.tolist()))


EDGES = st.sets(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1)), min_size=8, max_size=30
)


@settings(max_examples=60, deadline=None)
@given(EDGES, st.booleans(), st.booleans(), st.integers(0, 99))
def test_exactly_the_links_with_negatives_can_be_held_out(
    tmp_path_factory, edges, undirected, bipartite, seed
):
    """Against the rule written out, on graphs so dense that many links have no negatives."""
    edges = {(u, v + 5 * bipartite, kind) for u, v, kind in edges}
    edges = {edge for edge in edges if edge[0] != edge[1]}
    if len(edges) < 4:
        return
    src, dst, kind = np.array(sorted(edges)).T
    raw = graph_of(
        [np.stack([src, dst])[:, kind == number] for number in (0, 1)],
        undirected=undirected,
        types=["a", "b"],
        nodes=10 if bipartite else 5,
    )
    folder = tmp_path_factory.mktemp("any")
    options = BuildOptions(valid=0.4, test=0.4, negatives=20, seed=seed)
    try:
        store = build(folder / "x.zarr", raw, options)
    except UserError as error:
        assert "would be empty" in str(error) or "leave none" in str(error)
        return
    held = {frozenset((int(u), int(v))) for u, v, _, _ in held_out(store)}
    rules, candidates = store.candidate_rules, store.candidates()
    ids = np.array(store.node_ids().to_list())
    sets = [set(ids[candidates.nodes(number)].tolist()) for number in range(len(rules.sizes))]
    sets.append(set(range(raw.num_nodes)))  # number -1
    links = set(zip(src.tolist(), dst.tolist(), strict=True))
    if undirected:
        links |= {(v, u) for u, v in links}

    def allowed(u, v, number):
        side = sets[rules.dst[number]]
        if v not in side:
            side = sets[rules.src[number]]
        return {w for w in side if w != u and (u, w) not in links}

    for u, v, negatives, number in held_out(store):
        assert set(negatives.tolist()) <= allowed(u, v, number)
    picked = picked_pairs(raw, seed)
    assert held <= picked
    types = {}  # an undirected link has the lowest of its types
    for u, v, number in sorted(edges, key=lambda edge: edge[2], reverse=True):
        for pair in [(u, v), (v, u)] if undirected else [(u, v)]:
            types.setdefault(pair, set()).add(number)
            types[pair] = {number} if undirected else types[pair]
    for pair in picked:
        u, v = sorted(pair)
        lacks = [
            not allowed(*ends, number)
            for ends in ((u, v), (v, u))
            for number in types.get(ends, ())
        ]
        assert (pair in held) == (not all(lacks) if undirected else not any(lacks))
    assert is_sound(store)
