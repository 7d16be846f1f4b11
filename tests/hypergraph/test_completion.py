"""Metrics against ranks counted by hand."""

import numpy as np
import pytest

from hypergraph import filtering, metrics
from hypergraph.data import Relation
from hypergraph.factors import Factors
from hypergraph.metrics import completion, errors
from hypergraph.scoring import cp_scorer, predict


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


@pytest.mark.parametrize("size", [31, 50])
def test_items_of_one_row_share_their_mean_rank(size):
    """Whatever a matrix product makes of equal rows; a bias tells them apart."""
    random = np.random.default_rng(0)
    row = random.normal(size=30)
    rows = {"a": random.normal(size=(20, 30)), "b": np.tile(row, (size, 1))}
    factors = {name: values.astype(np.float32) for name, values in rows.items()}
    bias = np.zeros(size, np.float32)
    asked = np.stack([np.arange(20), np.arange(20)], 1)
    for lower, mean_rank in ((0, (size + 1) / 2), (10, (size - 10 + 1) / 2)):
        bias[size - lower :] = -1
        learned = Factors(factors, {"r": {"a": np.zeros(20, np.float32), "b": bias}})
        scores_of = cp_scorer(learned, Relation("r", ("a", "b"), asked))
        found = completion(scores_of, asked, [], ("a", "b"), (20, size))
        assert found["mrr/b"] == pytest.approx(1 / mean_rank)


@pytest.mark.parametrize("size", [1, 2, 8, 2000])
def test_what_scores_true_above_false_has_an_average_precision_of_one(size):
    """Item i of `a` is linked to half the items of `b`, of which one is held out."""
    true_NN = np.arange(6)[:, None] % 2 == np.arange(size) % 2
    every = np.argwhere(true_NN)
    _, first = np.unique(every[:, 0], return_index=True)

    def scores_of(indices_nK, k):
        return (true_NN[indices_nK[:, 0]] if k else true_NN.T[indices_nK[:, 1]]) * 1.0

    found = completion(scores_of, every[first], [every], ("a", "b"), (6, size))
    assert found["mrr"] == 1
    assert found["average_precision"] == 1


def test_a_query_without_a_false_item_is_no_part_of_average_precision():
    def scores_of(indices_nK, k):
        return np.array([[0.0, 1.0], [5.0, 7.0]])[indices_nK[:, 0]] if k else np.ones((2, 1))

    rows = np.array([[0, 0], [0, 1]])
    assert "average_precision" not in completion(scores_of, rows, [], ("a", "b"), (1, 2))
    assert completion(scores_of, rows, [], ("a", "b"), (1, 2))["mrr"] == 1


@pytest.mark.parametrize("chunk", [1, 7, 1 << 24])
def test_false_items_are_drawn_from_all_that_make_no_known_hyperedge(chunk, monkeypatch):
    """Each as often as another, however many queries are scored at once."""
    monkeypatch.setattr(metrics, "CHUNK", chunk)
    random = np.random.default_rng(0)
    sizes = (3, 2, 9)
    rows = np.stack([random.integers(0, size, 60) for size in sizes], 1)
    items = filtering.FilteredItems.of(rows[:20], rows, 2, sizes[2])
    true = {tuple(row) for row in rows.tolist()}
    drawn = np.zeros((20, sizes[2]))
    for _ in range(300):
        row, item = items.draw_false(slice(0, 20), random)
        drawn[row, item] += 1
    for count_N, (a, b, _) in zip(drawn, rows.tolist(), strict=False):
        false = [c for c in range(sizes[2]) if (a, b, c) not in true]
        assert np.flatnonzero(count_N).tolist() == false
        if false:
            assert count_N[false] == pytest.approx(300 / len(false), rel=0.6)


def test_known_hyperedges_are_gone_through_once_for_each_modality(monkeypatch):
    """However few queries are scored at once; and what is found does not depend on that."""
    passes = []
    keys = filtering.row_keys
    monkeypatch.setattr(filtering, "row_keys", lambda rows: passes.append(len(rows)) or keys(rows))
    random = np.random.default_rng(0)
    rows = random.integers(0, 6, (80, 3))
    tables = [random.normal(size=(6, 6, 6)) for _ in range(3)]

    def scores_of(indices_nK, k):
        one, other = (indices_nK[:, j] for j in range(3) if j != k)
        return tables[k][one, other]

    found = {}
    for chunk in (1, 1 << 24):
        monkeypatch.setattr(metrics, "CHUNK", chunk)
        found[chunk] = completion(scores_of, rows[:30], [rows], ("a", "b", "c"), (6, 6, 6))
    assert len(passes) == 2 * 3
    ranks = [name for name in found[1] if name != "average_precision"]
    assert [found[1][name] for name in ranks] == [found[1 << 24][name] for name in ranks]


def test_scores_are_those_of_the_product():
    random = np.random.default_rng(0)
    sizes, names = (3, 4, 5), ("a", "b", "c")
    factors = {n: random.normal(size=(s, 2)) for n, s in zip(names, sizes, strict=True)}
    biases = {n: random.normal(size=s) for n, s in zip(names, sizes, strict=True)}
    rows = np.array([[0, 1, 2], [2, 3, 4]])
    relation, learned = Relation("r", names, rows), Factors(factors, {"r": biases})
    for k, size in enumerate(sizes):
        found = cp_scorer(learned, relation)(rows, k)
        np.testing.assert_allclose(found[range(2), rows[:, k]], predict(learned, relation))
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
