"""Sides are found in graphs whose links are given in either direction."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sided_graphs import between, graph_of, held_out, is_sound

from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.builder.two_colours import TwoColours

USERS, ITEMS = np.arange(60), np.arange(60, 100)
OPTIONS = BuildOptions(valid=40, test=60, negatives=30)


def mixed(pairs, seed=0):
    """A third of the links turned around, a third in both directions."""
    third = np.random.default_rng(seed).integers(0, 3, pairs.shape[1])
    turned = np.where(third > 0, pairs[::-1], pairs)
    return np.concatenate([turned, pairs[:, third == 2]], axis=1)


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("make", [mixed, lambda pairs: np.concatenate([pairs, pairs[::-1]], 1)])
def test_sides_do_not_depend_on_the_direction_of_links(tmp_path, make, undirected):
    raw = graph_of([make(between(USERS, ITEMS, 800))], undirected=undirected, nodes=100)
    store = build(tmp_path / "x.zarr", raw, OPTIONS)
    assert store.candidate_rules.sizes == (60, 40)
    for _, dst, negatives, _ in held_out(store):
        assert set(negatives) <= set(USERS if dst in USERS else ITEMS)
    assert is_sound(store)


@pytest.mark.parametrize(
    "edges",
    [
        np.stack([np.arange(1, 300), (np.arange(1, 300) - 1) // 2]),  # a tree
        np.stack([np.arange(300), np.roll(np.arange(300), 1)]),  # an even ring
        np.concatenate([mixed(between(USERS, ITEMS, 800)), [[0], [1]]], axis=1),  # users are linked
    ],
)
def test_graphs_of_one_kind_have_no_sides(tmp_path, edges):
    nodes = edges.max() + 1
    both = np.concatenate([edges, edges[::-1]], axis=1)
    store = build(tmp_path / "x.zarr", graph_of([both], undirected=True, nodes=nodes), OPTIONS)
    assert store.candidate_rules.sizes == ()


EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(EDGES, st.integers(1, 4), st.randoms())
def test_colours_are_those_of_networkx(edges, batches, random):
    colours, graph = TwoColours(12), nx.Graph(edge for edge in edges if edge[0] != edge[1])
    random.shuffle(edges)
    parts = np.array_split(np.array(edges), batches)
    assert all(colours.add(part[:, 0], part[:, 1]) for part in parts) == nx.is_bipartite(graph)


def test_a_component_is_turned_to_the_direction_of_most_of_its_links():
    """Two parts: in the first sources have low numbers, in the second high ones."""
    first, second = between(USERS, ITEMS, 300), between(100 + ITEMS, 100 + USERS, 300)
    links = np.concatenate([first, second, first[::-1, :5], second[::-1, :5]], axis=1)
    colours, role_N = TwoColours(200), np.zeros(200, np.uint8)
    assert colours.add(*links)
    np.bitwise_or.at(role_N, links[0], np.uint8(1))
    np.bitwise_or.at(role_N, links[1], np.uint8(2))
    side_N = colours.roles(role_N)
    assert (side_N[USERS] == 1).all() and (side_N[ITEMS] == 2).all()
    assert (side_N[100 + ITEMS] == 1).all() and (side_N[100 + USERS] == 2).all()


def test_many_links_are_counted_about_right():
    rng = np.random.default_rng(0)
    colours = TwoColours(20_000)
    for _ in range(10):
        src, dst = rng.integers(0, 10_000, 9000), rng.integers(10_000, 20_000, 9000)
        assert colours.add(src, dst)
        assert colours.add(dst, src)
    links = 4095 / (float(colours.smallest[-1]) / 2.0**64)
    assert links == pytest.approx(90_000, rel=0.05)
