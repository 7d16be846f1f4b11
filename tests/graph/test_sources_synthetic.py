"""A synthetic graph is the same in whatever pieces it is made, and has something to learn."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.graph.sort.batches import EDGES_PER_BATCH
from hvdtma.graph.sources import SyntheticGraph, load_source

GRAPHS = st.builds(
    SyntheticGraph,
    nodes=st.integers(40, 9000),
    edges=st.integers(1, 700),
    features=st.integers(1, 5),
    communities=st.integers(1, 20),
    mixing=st.floats(0, 1),
    exponent=st.floats(2.01, 6),
    noise=st.floats(0, 3),
    seed=st.integers(0, 2**64 - 1),
)


@settings(max_examples=60, deadline=None)
@given(GRAPHS)
def test_edges_are_between_two_different_nodes_and_as_many_as_asked(graph):
    raw = graph.load()
    src, dst = raw.src, raw.dst
    assert len(src) == len(dst) == graph.edges
    assert (src != dst).all()
    ends = np.concatenate([src, dst])
    assert ends.min() >= 0
    assert ends.max() < graph.nodes


@settings(max_examples=60, deadline=None)
@given(GRAPHS, st.data())
def test_any_nodes_have_the_same_rows(graph, data):
    nodes = np.array(data.draw(st.lists(st.integers(0, graph.nodes - 1), max_size=9)), np.int64)
    whole = graph.take(np.arange(graph.nodes))
    assert whole.shape == graph.shape == (graph.nodes, graph.features)
    assert whole.dtype == np.float32
    assert np.array_equal(graph.take(nodes), whole[nodes])
    assert np.array_equal(graph.labels_of(nodes), graph.label[nodes])


def test_noise_is_nearly_normal_and_independent_between_columns():
    graph = SyntheticGraph(nodes=20_000, features=5, communities=1, noise=1.0)
    rows = graph.take(np.arange(graph.nodes)) - graph._centres[0]
    assert abs(rows.mean()) < 0.02
    assert abs(rows.std() - 1) < 0.02
    assert abs(np.mean(rows**4) - 2.7) < 0.1  # of four uniform numbers' sum; 3 of a normal one
    assert np.abs(np.corrcoef(rows.T) - np.eye(5)).max() < 0.03


@settings(max_examples=60, deadline=None)
@given(GRAPHS)
def test_communities_are_contiguous_and_equal_up_to_one_node(graph):
    label = graph.label
    sizes = np.bincount(label, minlength=graph.communities)
    assert (np.diff(label) >= 0).all()
    assert len(sizes) == graph.communities
    assert np.ptp(sizes) <= 1


def test_the_graph_is_its_pieces_whatever_their_order():
    graph = SyntheticGraph(nodes=5000, edges=EDGES_PER_BATCH + 100, communities=5, seed=3)
    raw = graph.load()
    later, first = graph.edge_batch(1), graph.edge_batch(0)
    assert np.array_equal(raw.src, np.concatenate([first[0], later[0]]))
    assert np.array_equal(raw.dst, np.concatenate([first[1], later[1]]))
    assert len(later[0]) == 100
    assert not np.array_equal(first[0][:100], later[0])


def test_a_seed_gives_the_same_graph_and_another_seed_another():
    def loaded(seed):
        spec = "synthetic:nodes=300,edges=900,features=4,communities=3"
        return load_source(spec, seed=seed).load()

    one, same, other = loaded(1), loaded(1), loaded(2)
    for name in ("src", "dst", "feat", "label"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.src, other.src)
    assert not np.array_equal(one.feat, other.feat)


def test_edges_go_both_ways_unless_said():
    assert load_source("synthetic:", seed=0).undirected
    assert not load_source("synthetic:directed=true", seed=0).undirected


def test_settings_are_kept_for_the_provenance():
    raw = load_source("synthetic:nodes=300, edges=900,noise=0.1", seed=7)
    assert raw.origin["kind"] == "synthetic"
    assert raw.origin["nodes"] == 300
    assert raw.origin["noise"] == 0.1
    assert raw.origin["seed"] == 7
    assert raw.undirected
    assert raw.num_nodes == 300
    assert raw.label_names == [str(community) for community in range(50)]


@pytest.fixture(scope="module")
def default():
    return SyntheticGraph().load()


def test_the_asked_share_of_edges_leaves_its_community(default):
    leaving = (default.label[default.src] != default.label[default.dst]).mean()
    assert leaving == pytest.approx(SyntheticGraph.mixing, abs=0.01)


def test_few_edges_are_drawn_twice(default):
    low, high = np.minimum(default.src, default.dst), np.maximum(default.src, default.dst)
    assert len(np.unique(low * default.num_nodes + high)) > 0.9 * len(default.src)


def test_degrees_have_a_heavy_tail_that_follows_the_exponent():
    def tail(exponent):
        graph = SyntheticGraph(nodes=20_000, communities=2, exponent=exponent)
        degree = np.bincount(np.concatenate([graph.load().src, graph.load().dst]))
        return degree.max() / np.median(degree)

    assert tail(2.2) > 2 * tail(3) > 4 * tail(6)


def test_neighbours_say_more_about_the_community_than_own_features(default):
    num = default.num_nodes
    ends = np.concatenate([default.src, default.dst]), np.concatenate([default.dst, default.src])
    mean = sp.csr_matrix((np.ones(len(ends[0]), np.float32), ends), (num, num)) @ default.feat
    centres = np.stack([default.feat[default.label == c].mean(0) for c in range(50)])

    def accuracy(feat):
        return float(((feat @ centres.T).argmax(1) == default.label).mean())

    assert 0.2 < accuracy(default.feat) < 0.6  # chance is 0.02
    assert accuracy(mean) > 0.9


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("nodes=0", "nodes is 0; valid: 2 to"),
        ("nodes=-5", "nodes is -5"),
        ("nodes=many", "nodes is 'many'; it must be a whole number"),
        ("nodes=10.5", "whole number"),
        ("nodes", "nodes is 'nodes'; it must be a whole number"),
        ("nodes=10,communities=2,edges=46", "edges is 46; valid: 1 to 45"),
        ("edges=0", "edges is 0"),
        ("features=0", "features is 0"),
        ("communities=0", "communities is 0"),
        ("nodes=10,edges=5,communities=6", "communities is 6; valid: 1 to 5"),
        ("mixing=1.5", "mixing is 1.5; valid: 0 to 1"),
        ("mixing=nan", "mixing is nan"),
        ("directed=perhaps", "directed is 'perhaps'; it must be true or false"),
        ("exponent=2", "exponent is 2.0; valid: above 2"),
        ("exponent=inf", "exponent is inf"),
        ("noise=-1", "noise is -1.0"),
        ("node=5", "takes no option 'node'; valid: nodes, edges, .*; did you mean 'nodes'"),
    ],
)
def test_values_that_make_no_graph_are_refused(spec, words):
    with pytest.raises(UserError, match=words):
        load_source(f"synthetic:{spec}", seed=0)


def test_a_negative_seed_is_refused():
    with pytest.raises(UserError, match="seed is -1"):
        load_source("synthetic:", seed=-1)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            "debain:",
            "source 'debain:'; valid: debian, synthetic, ogb, or an .*; did you mean 'debian'\\?$",
        ),
        ("edges.csv", "or for files --edges FILE"),
        ("synthetc:nodes=5", "unknown data source .*did you mean 'synthetic'"),
        ("debian:bookworm", "takes no setting 'bookworm'"),
    ],
)
def test_an_unknown_source_lists_the_valid_ones(spec, words):
    with pytest.raises(UserError, match=words):
        load_source(spec, seed=0)
