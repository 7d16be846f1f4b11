"""Metrics of several labels and of regression are scikit-learn's; odd entries have their place."""

import itertools

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hvdtma.graph.targets import UNKNOWN
from hvdtma.tasks.label_metrics import WORST, multi_label_metrics, regression_metrics

SCORES = arrays(np.float32, (30, 4), elements=st.integers(-5, 5).map(lambda n: n + 0.5))
TRUTH = arrays(np.uint8, (30, 4), elements=st.sampled_from([0, 0, 1, UNKNOWN]))


@settings(max_examples=50, deadline=None)
@given(SCORES, TRUTH.filter(lambda truth: (truth == 1).any()))
def test_metrics_of_several_labels_are_scikit_learns(logit, truth):
    found = multi_label_metrics(logit, truth)
    known = truth != UNKNOWN
    said = logit > 0
    expected = sk.f1_score(truth[known] == 1, said[known], zero_division=0)
    assert found["micro_f1"] == pytest.approx(expected)
    columns = [(truth[rows, c] == 1, logit[rows, c]) for c, rows in enumerate(known.T)]
    f1 = [
        sk.f1_score(true, score > 0, zero_division=0) if len(true) else 0 for true, score in columns
    ]
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    positive = [(true, score) for true, score in columns if true.any()]
    precision = [sk.average_precision_score(*column) for column in positive]
    assert found["average_precision"] == pytest.approx(np.mean(precision))
    both = [(true, score) for true, score in positive if not true.all()]
    areas = [sk.roc_auc_score(*column) for column in both]
    assert found["auc"] == pytest.approx(np.mean(areas) if areas else np.nan, nan_ok=True)


def test_metrics_of_complete_labels_are_scikit_learns_for_matrices():
    rng = np.random.default_rng(0)
    truth, logit = rng.integers(0, 2, (50, 3)), rng.normal(size=(50, 3)).astype(np.float32)
    found = multi_label_metrics(logit, truth.astype(np.uint8))
    for average in ("micro", "macro"):
        expected = sk.f1_score(truth, logit > 0, average=average)
        assert found[f"{average}_f1"] == pytest.approx(expected)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(truth, logit, average="macro"))
    expected = sk.average_precision_score(truth, logit, average="macro")
    assert found["average_precision"] == pytest.approx(expected)


def test_a_logit_that_is_not_a_number_counts_as_wrong():
    truth = np.array([[1], [0], [1], [0]], np.uint8)
    found = multi_label_metrics(np.float32([[np.nan], [np.nan], [1], [-1]]), truth)
    assert found["auc"] == pytest.approx((1 + 0 + 0 + 0) / 4)  # of four pairs
    assert found["micro_f1"] == pytest.approx(2 / 3)


NUMBERS = arrays(np.float64, (12, 2), elements=st.integers(-50, 50).map(float))


@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS)
def test_metrics_of_regression_are_scikit_learns(predicted, target):
    found = regression_metrics(predicted, target)
    assert found["r2"] == pytest.approx(sk.r2_score(target, predicted))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(target, predicted))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(target, predicted))


def test_unknown_targets_are_left_out_and_lost_predictions_are_the_worst():
    target = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan], [4.0, np.nan, np.nan]])
    predicted = np.array([[1.5, 7, 7], [2.0, 5.5, 7], [3.0, 7, 7]])
    found = regression_metrics(predicted, target)
    first = sk.r2_score(target[:, 0], predicted[:, 0])
    assert found["r2"] == pytest.approx((first + 0) / 2)  # one node alone has no spread
    assert found["mae"] == pytest.approx((0.5 + 0.5) / 2)
    for lost, column in itertools.product((np.nan, np.inf), (0, 1)):
        predicted[1, column] = lost
        worse = regression_metrics(predicted, target)
        assert worse["r2"] < -1e30 or column == 1
        assert np.isfinite(list(worse.values())).all()


def test_a_logit_of_zero_says_no_and_labels_without_positives_count_where_they_can():
    truth = np.array([[1, 0, UNKNOWN], [1, 0, UNKNOWN], [0, 0, UNKNOWN]], np.uint8)
    found = multi_label_metrics(np.float32([[0, -1, 5], [1, 1, 5], [-1, -1, 5]]), truth)
    assert found == {
        "micro_f1": pytest.approx(2 * 1 / (2 + 2)),  # a hit; a miss and a false alarm
        "macro_f1": pytest.approx((2 * 1 / 3 + 0 + 0) / 3),
        "auc": 1.0,
        "average_precision": 1.0,
    }
    none = multi_label_metrics(np.zeros((2, 1), np.float32), np.zeros((2, 1), np.uint8))
    assert (none["micro_f1"], none["macro_f1"]) == (0, 0)
    assert np.isnan([none["auc"], none["average_precision"]]).all()
    only = multi_label_metrics(np.zeros((2, 1), np.float32), np.ones((2, 1), np.uint8))
    assert np.isnan(only["auc"])
    assert only["average_precision"] == 1


def test_logits_that_are_not_finite_are_ordered_with_those_that_are():
    truth = np.array([[1], [0], [1], [0]], np.uint8)
    best = np.float32([[np.inf], [-np.inf], [WORST], [-WORST]])
    assert multi_label_metrics(best, truth)["auc"] == 1
    lost = np.float32([[np.nan], [3], [5], [4]])  # below every other one, as its label is true
    assert multi_label_metrics(lost, truth)["auc"] == 2 / 4
    lost = np.float32([[3], [np.nan], [5], [4]])  # above every other one
    assert multi_label_metrics(lost, truth)["auc"] == 1 / 4


def test_without_a_spread_r2_is_one_for_exact_predictions_only():
    target = np.full((3, 1), 2.0)
    exact = regression_metrics(target, target)
    assert exact == {"r2": 1.0, "rmse": 0.0, "mae": 0.0}
    found = regression_metrics(np.array([[2.0], [2.0], [5.0]]), target)
    assert found == {"r2": 0.0, "rmse": pytest.approx(3**0.5), "mae": 1.0}


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf, 1e300, -1e300])
def test_a_lost_prediction_is_off_by_the_largest_number(lost):
    found = regression_metrics(np.array([[lost], [1.0]]), np.array([[0.0], [1.0]]))
    assert found["mae"] == pytest.approx(WORST / 2)
    assert found["rmse"] == pytest.approx(WORST / 2**0.5)
