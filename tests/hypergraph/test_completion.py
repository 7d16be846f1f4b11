"""Metrics against ranks counted by hand."""

import numpy as np
import pytest

from hypergraph.metrics import completion, errors, product_scorer


def test_ranks_leave_out_known_items_and_share_ties():
    """Two modalities; the scores of the second are given."""
    scores_NN = np.array([[0.9, 0.8, 0.7, 0.1], [0.5, 0.5, 0.5, 0.5]])

    def scores_of(indices_nK, k):
        return scores_NN[indices_nK[:, 0]] if k else scores_NN.T[indices_nK[:, 1]]

    held_out = np.array([[0, 2], [1, 0]])
    known = [held_out, np.array([[0, 0], [1, 3]])]  # (0, 0) and (1, 3) are no competition
    found = completion(scores_of, held_out, known, ("a", "b"), (2, 4))
    assert found["mrr/b"] == pytest.approx((1 / 2 + 1 / 2) / 2)  # behind 1; the middle of three
    assert found["mrr/a"] == pytest.approx((1 / 1 + 1 / 1) / 2)  # (0, 0) is known
    assert found["hits@1/a"] == 1
    assert found["mrr"] == pytest.approx((found["mrr/a"] + found["mrr/b"]) / 2)


def test_scores_are_those_of_the_product():
    random = np.random.default_rng(0)
    sizes, names = (3, 4, 5), ("a", "b", "c")
    factors = {n: random.normal(size=(s, 2)) for n, s in zip(names, sizes, strict=True)}
    biases = {n: random.normal(size=s) for n, s in zip(names, sizes, strict=True)}
    rows = np.array([[0, 1, 2], [2, 3, 4]])
    for k, size in enumerate(sizes):
        found = product_scorer(factors, biases, names)(rows, k)
        assert found.shape == (2, size)
        for row, item in np.ndindex(found.shape):
            at = rows[row].copy()
            at[k] = item
            parts = [factors[n][i] for n, i in zip(names, at, strict=True)]
            expected = np.prod(parts, axis=0).sum()
            expected += sum(biases[n][i] for n, i in zip(names, at, strict=True))
            assert found[row, item] == pytest.approx(expected)


def test_errors_of_values():
    assert errors(np.array([1.0, 5.0]), np.array([2.0, 2.0])) == pytest.approx(
        {"rmse": 5**0.5, "mae": 2.0}
    )
