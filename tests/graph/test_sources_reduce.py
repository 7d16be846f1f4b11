"""Reduced features keep what distinguishes nodes, at one scale, the same for the same seed."""

import numpy as np
import pytest
import scipy.sparse as sp

from hvdtma.core.errors import UserError
from hvdtma.graph.builder.svd import reduce_features as reduce_with_projection


def reduce_features(feat, dim, seed):
    """The features alone; `test_projection` is about the projection."""
    return reduce_with_projection(feat, dim, seed)[0]


def topics(rng, num_nodes=600, num_words=300, num_topics=4):
    """Bags of words of nodes that each talk about one of a few topics."""
    topic = rng.integers(0, num_topics, num_nodes)
    words = rng.integers(0, num_words // num_topics, (num_nodes, 20)) * num_topics + topic[:, None]
    node = np.repeat(np.arange(num_nodes), 20)
    counts = sp.csr_matrix((np.ones(node.size), (node, words.ravel())), (num_nodes, num_words))
    return counts, topic


@pytest.mark.parametrize("sparse", [True, False])
def test_what_nodes_have_in_common_is_kept(rng, sparse):
    feat, topic = topics(rng)
    reduced = reduce_features(feat if sparse else feat.toarray(), 8, seed=0)
    assert reduced.shape == (600, 8)
    assert reduced.dtype == np.float32
    assert reduced.std() == pytest.approx(1, abs=1e-5)
    direction = reduced / np.linalg.norm(reduced, axis=1, keepdims=True)
    similarity = direction @ direction.T
    same = topic[:, None] == topic[None, :]
    assert similarity[same].mean() > similarity[~same].mean() + 0.5


def test_a_common_word_weighs_less_than_a_rare_one():
    dense = np.zeros((40, 30))
    dense[:, 0] = 1  # every node has it
    dense[np.arange(40), 1 + np.arange(40) % 4] = 1  # four groups
    reduced = reduce_features(sp.csr_matrix(dense), 4, seed=0)
    plain = reduce_features(dense, 4, seed=0)

    def within_over_all(feat):
        return (feat[0] @ feat[1]) / (feat[0] @ feat[0])

    assert within_over_all(reduced) < within_over_all(plain)


def test_the_same_seed_gives_the_same_features(rng):
    feat, _ = topics(rng)
    assert np.array_equal(reduce_features(feat, 8, seed=5), reduce_features(feat, 8, seed=5))


def test_few_features_come_back_as_they_are():
    feat = np.arange(6.0).reshape(3, 2)
    for given in (feat, sp.csr_matrix(feat)):
        for dim in (2, 128):
            reduced = reduce_features(given, dim, seed=0)
            assert reduced.dtype == np.float32
            assert np.array_equal(reduced, feat)


def test_nodes_without_features_stay_at_zero(rng):
    feat = topics(rng)[0].tolil()
    feat[5] = 0
    for given in (feat.tocsr(), feat.toarray()):
        assert not reduce_features(given, 8, seed=0)[5].any()


def test_fewer_nodes_than_dimensions_are_padded_with_zeros(rng):
    reduced = reduce_features(sp.csr_matrix(rng.random((3, 20))), 8, seed=0)
    assert reduced.shape == (3, 8)
    assert not reduced[:, 3:].any()


def test_a_matrix_of_zeros_and_one_with_negatives_are_reduced(rng):
    assert not reduce_features(sp.csr_matrix((5, 20)), 3, seed=0).any()
    negative = sp.csr_matrix(rng.standard_normal((50, 20)))
    assert np.isfinite(reduce_features(negative, 3, seed=0)).all()


def test_the_given_features_are_not_changed(rng):
    feat = topics(rng)[0].astype(np.float32)
    before = feat.copy()
    reduce_features(feat, 8, seed=0)
    assert (feat != before).nnz == 0


def test_less_than_one_dimension_is_refused():
    with pytest.raises(UserError, match="reduced to 0"):
        reduce_features(np.ones((3, 4)), 0, seed=0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
