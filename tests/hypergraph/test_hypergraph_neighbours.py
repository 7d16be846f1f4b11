"""Neighbours are the most similar items, checked against all pairs written out."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from small_hypergraphs import gallery

from hvdtma.core.errors import UserError
from hypergraph import GraphRecipe, Modality, MultimodalHypergraph, Relation
from hypergraph.data import chain
from hypergraph.data.top_k import most_similar


def with_features(features) -> MultimodalHypergraph:
    num_items = features.shape[0]
    items = Modality("item", num_items, features=features)
    relation = Relation("r", ("item", "one"), [[0, 0]])
    return MultimodalHypergraph.of([items, Modality("one", 1)], [relation])


def all_cosines(rows_ND: np.ndarray) -> np.ndarray:
    length_N = np.linalg.norm(rows_ND, axis=1)
    unit = rows_ND / np.where(length_N > 0, length_N, 1)[:, None]
    cosine_NN = unit @ unit.T
    np.fill_diagonal(cosine_NN, 0)
    return cosine_NN


def expected_weights(cosine_NN: np.ndarray, k: int) -> dict[tuple[int, int], float]:
    pairs = {}
    for item, cosine_N in enumerate(cosine_NN):
        for other in np.argsort(-cosine_N)[:k]:
            if cosine_N[other] > 1e-6:
                pairs[min(item, other), max(item, other)] = cosine_N[other]
    return pairs


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("k", [1, 3, 50])
def test_neighbours_by_features_are_those_of_the_largest_cosine(kind, k):
    rng = np.random.default_rng(k)
    features = rng.normal(size=(30, 6)) * (rng.random((30, 6)) < 0.7)
    features[[4, 9]] = 0  # nothing is known of them
    intra = with_features(kind(features)).make_intra("item", GraphRecipe("features", k))
    expected = expected_weights(all_cosines(features), k)
    assert set(map(tuple, intra.edges.tolist())) == set(expected)
    for edge, weight in zip(intra.edges.tolist(), intra.weights, strict=True):
        assert weight == pytest.approx(expected[tuple(edge)], abs=1e-5)
    assert intra.recipe == GraphRecipe("features", k)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6))
def test_similar_rows_of_any_sparse_matrix(seed, num_rows, k):
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 3, (num_rows, 5)) * (rng.random((num_rows, 5)) < 0.4)
    length = np.linalg.norm(dense, axis=1, keepdims=True)
    unit = dense / np.where(length > 0, length, 1)
    index, cosine = most_similar(sp.csr_array(unit), k)
    expected = -np.sort(-all_cosines(dense), axis=1)[:, :k]
    np.testing.assert_allclose(cosine[:, : expected.shape[1]], expected, atol=1e-6)
    found = index >= 0
    np.testing.assert_array_equal(found, cosine > 0)
    item, _ = np.nonzero(found)
    np.testing.assert_allclose(all_cosines(dense)[item, index[found]], cosine[found], atol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_items_that_are_all_the_same_get_neighbours_and_none_gets_everybody(kind):
    same = kind(np.ones((200, 2)))
    intra = with_features(same).make_intra("item", GraphRecipe("features", 3))
    assert intra.num_edges >= 300
    if sp.issparse(same):  # there ties go round in a ring
        assert np.bincount(intra.edges.ravel()).tolist() == [6] * 200


def test_neighbours_by_hyperedges_share_partners_and_rare_ones_count_more():
    # items 0 and 1 share a partner that everybody has; 1 and 2 also share a rare one
    rows = [[item, 0] for item in range(6)] + [[1, 1], [2, 1], [3, 2]]
    relation = Relation("r", ("item", "partner"), rows)
    graph = MultimodalHypergraph.of([Modality("item", 7), Modality("partner", 3)], [relation])
    intra = graph.make_intra("item", GraphRecipe("hyperedges", 6))
    weight = {tuple(e): w for e, w in zip(intra.edges.tolist(), intra.weights, strict=True)}
    assert weight[1, 2] == pytest.approx(1)
    common, rare = np.log1p(6 / 6), np.log1p(6 / 2)
    assert weight[0, 1] == pytest.approx(common / np.hypot(common, rare), abs=1e-5)
    assert weight[0, 3] == pytest.approx(1)  # partner 2 is of a single item: it says nothing
    assert not any(6 in edge for edge in weight)  # in no hyperedge


def test_only_the_relations_named_count():
    graph = gallery()
    by_rated = graph.make_intra("artwork", GraphRecipe("hyperedges", 5, ("rated",)))
    by_all = graph.make_intra("artwork", GraphRecipe("hyperedges", 5))
    assert by_rated.edges.tolist() == [[0, 1]]  # the two that one user rated
    assert [4, 5] in by_all.edges.tolist()


def test_held_out_hyperedges_of_a_given_split_make_no_neighbours():
    relation = Relation("r", ("a", "b"), [[0, 0], [1, 0], [2, 0]], part=["train", "train", "test"])
    graph = MultimodalHypergraph.of([Modality("a", 3), Modality("b", 1)], [relation])
    assert graph.make_intra("a", GraphRecipe("hyperedges")).edges.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("name", "recipe", "words"),
    [
        ("artist", GraphRecipe("features"), "'artist' has no features"),
        ("artist", GraphRecipe("hyperedges", 3, ("rated",)), "in no relation 'rated'; valid: made"),
        ("painter", GraphRecipe("features"), "no modality 'painter'"),
    ],
)
def test_what_cannot_be_made_is_said(name, recipe, words):
    with pytest.raises(UserError, match=words):
        gallery().with_intra(name, recipe)


def test_a_chain_joins_each_item_with_the_next():
    assert chain(4).edges.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert chain(1).num_edges == 0
