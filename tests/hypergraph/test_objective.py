"""Losses on observed values, by ranking and of smoothness are their formulas."""

from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_incidences import normal
from torch.nn.functional import logsigmoid

from hypergraph.model.laplacian import normalised_laplacian
from hypergraph.model.objective import corrupt, observed_loss, predict, ranking_loss, smoothness
from hypergraph.model.objective.predict import products_of_others

SIZES = (6, 4, 5)


@pytest.fixture
def factors():
    return [normal(size, 3, seed=size) for size in SIZES]


@pytest.fixture
def indices():
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(size, (10,), generator=generator) for size in SIZES], 1)


def score(hyperedge, factors):
    rows = [factor[item] for factor, item in zip(factors, hyperedge, strict=True)]
    return torch.stack(rows).prod(0).sum()


def test_a_prediction_sums_products(indices, factors):
    expected = torch.stack([score(hyperedge, factors) for hyperedge in indices.tolist()])
    torch.testing.assert_close(predict(indices, factors), expected)


@pytest.mark.parametrize("arity", [1, 2, 3, 5])
def test_products_of_others_leave_one_out_even_at_zero(arity):
    rows = [normal(4, 3, seed=k) for k in range(arity)]
    rows[0][1] = 0
    for k, found in enumerate(products_of_others(rows)):
        others = [row for j, row in enumerate(rows) if j != k]
        torch.testing.assert_close(found, torch.stack([torch.ones_like(found), *others]).prod(0))


def test_observed_values_are_met_by_mean_biases_and_score(indices, factors):
    values = normal(10, seed=1)
    biases = [normal(6, seed=2), None, normal(5, seed=3)]
    expected = torch.stack(
        [
            (2.5 + biases[0][i] + biases[2][k] + score((i, j, k), factors) - value).square()
            for (i, j, k), value in zip(indices.tolist(), values, strict=True)
        ]
    ).mean()
    found = observed_loss(indices, values, factors, mean=2.5, biases=biases)
    torch.testing.assert_close(found, expected)
    residual = values - predict(indices, factors)
    torch.testing.assert_close(observed_loss(indices, values, factors), residual.square().mean())


def test_a_ranking_loss_is_a_softmax_over_the_true_item_and_the_corrupted(indices, factors):
    corrupted = corrupt(indices, SIZES, 4, torch.Generator().manual_seed(0))
    expected = []
    for row, hyperedge in enumerate(indices.tolist()):
        for k in range(3):
            candidates = [hyperedge[k], *corrupted[row, k].tolist()]
            scores = torch.stack(
                [score([*hyperedge[:k], item, *hyperedge[k + 1 :]], factors) for item in candidates]
            )
            expected.append(-torch.log_softmax(scores, 0)[0])
    found = ranking_loss(indices, corrupted, factors)
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_with_one_corrupted_item_it_is_bpr(indices, factors):
    corrupted = corrupt(indices, SIZES, 1, torch.Generator().manual_seed(0))
    true, expected = predict(indices, factors), []
    for k in range(3):
        false = indices.clone()
        false[:, k] = corrupted[:, k, 0]
        expected.append(-logsigmoid(true - predict(false, factors)))
    torch.testing.assert_close(
        ranking_loss(indices, corrupted, factors), torch.stack(expected).mean()
    )


@pytest.mark.parametrize("m", [1, 7])
def test_equal_scores_rank_by_chance(m, indices):
    corrupted = corrupt(indices, SIZES, m, torch.Generator().manual_seed(0))
    zeros = [torch.zeros(size, 3) for size in SIZES]
    assert ranking_loss(indices, corrupted, zeros).item() == pytest.approx(log(1 + m))


def test_gradients_pass_gradcheck(indices, factors):
    factors = [factor.requires_grad_() for factor in factors]
    corrupted = corrupt(indices, SIZES, 2, torch.Generator().manual_seed(0))
    bias, values = normal(6).requires_grad_(), normal(10)
    assert torch.autograd.gradcheck(lambda *f: ranking_loss(indices, corrupted, f), factors)
    assert torch.autograd.gradcheck(
        lambda bias, *f: observed_loss(indices, values, f, biases=[bias, None, None]),
        (bias, *factors),
    )


def test_each_rank_finds_the_joint_gradient_of_its_own_factor(indices, factors):
    corrupted = corrupt(indices, SIZES, 3, torch.Generator().manual_seed(0))
    values = normal(10)
    losses = [
        lambda held: ranking_loss(indices, corrupted, held),
        lambda held: observed_loss(indices, values, held),
    ]
    for loss in losses:
        joint = [factor.clone().requires_grad_() for factor in factors]
        for k, expected in enumerate(torch.autograd.grad(loss(joint), joint)):
            own = factors[k].clone().requires_grad_()
            held = [own if j == k else factor for j, factor in enumerate(factors)]
            (found,) = torch.autograd.grad(loss(held), own)
            torch.testing.assert_close(found, expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=4),
    st.integers(0, 6),
    st.integers(1, 20),
    st.integers(0, 99),
)
def test_corrupted_items_are_others_of_the_modality(sizes, n, m, seed):
    generator = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(size, (n,), generator=generator) for size in sizes], 1)
    drawn = corrupt(indices, sizes, m, torch.Generator().manual_seed(seed))
    assert drawn.equal(corrupt(indices, sizes, m, torch.Generator().manual_seed(seed)))
    assert drawn.shape == (n, len(sizes), m)
    for k, size in enumerate(sizes):
        assert ((drawn[:, k] >= 0) & (drawn[:, k] < size)).all()
        assert ((drawn[:, k] != indices[:, k, None]) | (size == 1)).all()


def test_every_other_item_is_drawn_equally_often():
    drawn = corrupt(torch.tensor([[2, 0]]), (5, 3), 40_000, torch.Generator().manual_seed(0))
    often = torch.bincount(drawn[0, 0], minlength=5) / 40_000
    assert often.tolist() == pytest.approx([0.25, 0.25, 0, 0.25, 0.25], abs=0.01)


def test_no_hyperedges_cost_nothing(factors):
    none = torch.zeros(0, 3, dtype=torch.int64)
    factors = [factor.requires_grad_() for factor in factors]
    corrupted = corrupt(none, SIZES, 4, torch.Generator())
    for loss in (
        observed_loss(none, torch.zeros(0).double(), factors),
        ranking_loss(none, corrupted, factors),
    ):
        loss.backward()
        assert loss == 0
        assert all(factor.grad.abs().sum() == 0 for factor in factors)


def test_smoothness_is_the_trace_and_the_sum_over_edges():
    edges, weight = torch.tensor([[0, 1], [1, 2], [0, 3]]), torch.tensor([1.0, 2.0, 0.5]).double()
    laplacian = normalised_laplacian(edges, weight, num_nodes=5, dtype=torch.float64)
    factor, matrix = normal(5, 3).requires_grad_(), laplacian.csr.to_dense()
    found = smoothness(factor, laplacian)
    torch.testing.assert_close(found, (factor.T @ matrix @ factor).trace() / 2 / 5)
    torch.testing.assert_close(found, smoothness(factor, matrix))
    degree = torch.tensor([1.5, 3, 2, 0.5, 1]).double()
    scaled = factor / degree.sqrt()[:, None]
    apart = (scaled[edges[:, 0]] - scaled[edges[:, 1]]).square().sum(1)
    torch.testing.assert_close(found, (weight * apart).sum() / 2 / 5)
    assert torch.autograd.gradcheck(lambda f: smoothness(f, laplacian), factor)


def test_an_item_without_neighbours_is_not_drawn_to_zero():
    laplacian = normalised_laplacian(torch.tensor([[0, 1]]), num_nodes=3)
    factor = torch.ones(3, 2, requires_grad=True)
    smoothness(factor, laplacian).backward()
    assert factor.grad.abs().sum() == 0
