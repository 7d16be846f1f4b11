"""Metrics against independent implementations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hvdtma.tasks.metrics import area_under_roc, class_metrics, link_metrics, ranks

scores = arrays(np.float32, (7, 31), elements=st.integers(-6, 6).map(float))


@settings(max_examples=50, deadline=None)
@given(scores)
def test_mrr_and_hits_are_ogbs_ties_included(values):
    from ogb.linkproppred import Evaluator  # slow to import; mutation tests do without

    values = torch.from_numpy(values)
    ours = link_metrics(ranks(values[:, 0], values[:, 1:]), auc=0.0)
    theirs = Evaluator(name="ogbl-citation2").eval(
        {"y_pred_pos": values[:, 0], "y_pred_neg": values[:, 1:]}
    )
    assert ours["mrr"] == pytest.approx(theirs["mrr_list"].mean().item(), rel=1e-6)
    for k in (1, 10):
        assert ours[f"hits@{k}"] == pytest.approx(theirs[f"hits@{k}_list"].mean().item())


def test_a_rank_is_one_plus_higher_plus_half_the_ties():
    rank = ranks(torch.tensor([2.0, 0.0]), torch.tensor([[3.0, 2.0, 2.0, 1.0], [1.0, 2, 3, 4]]))
    assert rank.tolist() == [3.0, 5.0]


def test_every_metric_of_links_is_counted_by_hand():
    rank_n = torch.tensor([1.0, 1.5, 10.0, 10.5, 50.0, 50.5, 100.0, 100.5], dtype=torch.float64)
    assert link_metrics(rank_n, auc=0.25) == {
        "mrr": pytest.approx(sum(1 / rank for rank in rank_n.tolist()) / 8),
        **{f"hits@{k}": n / 8 for k, n in {1: 1, 10: 3, 50: 5, 100: 7}.items()},
        "auc": 0.25,
    }


def test_auc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1, 200), rng.normal(0, 1, 200)
    pairs = (positive[:, None] > negative).mean()
    assert area_under_roc(positive, negative) == pytest.approx(pairs)


def test_scores_that_are_not_finite_are_scored_too_and_nan_counts_as_wrong():
    positive, negative = np.float32([np.nan, 2.0, 1.0, 0.0]), np.float32([0.0, -1.0, 0.0, np.nan])
    # The pairs in the right order: none, three, three, and one with two ties.
    assert area_under_roc(positive, negative) == pytest.approx((0 + 3 + 3 + 1 + 2 / 2) / 16)
    rank = ranks(torch.from_numpy(positive), torch.from_numpy(negative)[:, None])
    assert rank.tolist() == [2.0, 1.0, 1.0, 2.0]
    none = np.full(4, np.nan, np.float32)
    assert area_under_roc(none, none) == 0
    assert area_under_roc(np.r_[np.inf, 0.0], np.r_[-np.inf, 0.0]) == pytest.approx(3.5 / 4)


def test_scores_that_doubles_alone_can_subtract_have_an_auc():
    most = np.finfo(np.float32).max
    scores = np.float32([most, 0.0]), np.float32([-most, -1.0])
    assert area_under_roc(*scores) == 1
    assert area_under_roc(*scores[::-1]) == 0


def test_class_metrics_are_counted_by_hand():
    metrics = class_metrics(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]))
    assert metrics["accuracy"] == 0.5
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
