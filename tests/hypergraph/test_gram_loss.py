"""The loss through Gram matrices is that of the dense tensor, without ever building it."""

from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_incidences import normal

from hvdtma.core.errors import UserError
from hypergraph.model.objective import balanced_weight, gram, gram_loss, predict


@st.composite
def relations(draw, arity=None):
    """(present indices [n, K], factors): any arity, no hyperedge twice, maybe none."""
    arity = draw(st.integers(2, 4)) if arity is None else arity
    sizes = draw(st.lists(st.integers(1, 4), min_size=arity, max_size=arity))
    everywhere = list(product(*map(range, sizes)))
    present = draw(st.lists(st.sampled_from(everywhere), unique=True, max_size=8))
    seed, rank = draw(st.integers(0, 99)), draw(st.integers(1, 4))
    factors = [normal(size, rank, seed=seed + k) for k, size in enumerate(sizes)]
    indices = torch.tensor(present, dtype=torch.int64).reshape(-1, arity)
    return indices, factors


def dense_prediction(factors):
    """The whole tensor [N_1, ..., N_K]."""
    letters = "abcd"[: len(factors)]
    return torch.einsum(f"{','.join(f'{letter}r' for letter in letters)}->{letters}", *factors)


def dense_loss(indices, factors, absent_weight=1.0):
    predicted = dense_prediction(factors)
    tensor, weight = torch.zeros_like(predicted), torch.full_like(predicted, absent_weight)
    at = tuple(indices.T)
    tensor[at] = 1
    weight[at] = 1
    return (weight * (tensor - predicted).square()).sum() / max(len(indices), 1)


@settings(max_examples=100, deadline=None)
@given(relations(), st.sampled_from([1.0, 0.3, 0.0]))
def test_it_is_the_dense_loss(relation, absent_weight):
    indices, factors = relation
    found = gram_loss(indices, factors, absent_weight=absent_weight)
    expected = dense_loss(indices, factors, absent_weight)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("arity", [2, 3, 4])
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_its_gradients_are_those_of_the_dense_loss(arity, data):
    indices, factors = data.draw(relations(arity))
    factors = [factor.requires_grad_() for factor in factors]
    found = torch.autograd.grad(gram_loss(indices, factors, absent_weight=0.5), factors)
    expected = torch.autograd.grad(dense_loss(indices, factors, 0.5), factors)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_gradients_pass_gradcheck():
    indices = torch.tensor([[0, 1, 2], [3, 0, 0], [3, 1, 0]])
    factors = [normal(size, 3, seed=size).requires_grad_() for size in (4, 2, 3)]
    assert torch.autograd.gradcheck(lambda *f: gram_loss(indices, f), factors)


@settings(max_examples=40, deadline=None)
@given(relations())
def test_batches_average_to_the_whole(relation):
    indices, factors = relation
    n = len(indices)
    options = {"absent_weight": 0.2, "num_present": n}
    batches = [gram_loss(indices[[i, (i + 1) % n]], factors, **options) for i in range(n)]
    if n > 1:
        whole = gram_loss(indices, factors, absent_weight=0.2)
        torch.testing.assert_close(torch.stack(batches).mean(), whole)


def test_rows_and_gram_matrices_from_elsewhere_stand_for_whole_factors():
    factors = [normal(size, 3, seed=size) for size in (9, 7, 5)]
    indices = torch.tensor([[8, 1, 2], [3, 6, 0], [8, 6, 4]])
    expected = gram_loss(indices, factors, absent_weight=0.1, num_present=20)
    touched = [column.unique(return_inverse=True) for column in indices.T]
    rows = [factor[rows] for factor, (rows, _) in zip(factors, touched, strict=True)]
    renumbered = torch.stack([place for _, place in touched], 1)
    found = gram_loss(
        renumbered,
        [factors[0][touched[0][0]], *rows[1:]],
        absent_weight=0.1,
        num_present=20,
        grams=[gram(factor) for factor in factors],
        sizes=(9, 7, 5),
    )
    torch.testing.assert_close(found, expected)
    own = gram_loss(
        torch.stack([indices[:, 0], *renumbered.T[1:]], 1),
        [factors[0], *rows[1:]],
        absent_weight=0.1,
        num_present=20,
        grams=[None, *(gram(factor) for factor in factors[1:])],
        sizes=(9, 7, 5),
    )
    torch.testing.assert_close(own, expected)


def test_rows_without_their_gram_matrix_are_refused():
    factors, indices = [normal(3, 2), normal(4, 2)], torch.tensor([[0, 1]])
    with pytest.raises(UserError, match="factor 1 has 4 rows of 9 and no Gram matrix"):
        gram_loss(indices, factors, sizes=(3, 9))


@settings(max_examples=30, deadline=None)
@given(relations())
def test_each_rank_finds_the_joint_gradient_of_its_own_factor(relation):
    indices, factors = relation
    joint = [factor.clone().requires_grad_() for factor in factors]
    expected = torch.autograd.grad(gram_loss(indices, joint), joint)
    for k, gradient in enumerate(expected):
        own = factors[k].clone().requires_grad_()
        held = [own if j == k else factor for j, factor in enumerate(factors)]
        grams = [None if j == k else gram(factor) for j, factor in enumerate(factors)]
        (found,) = torch.autograd.grad(gram_loss(indices, held, grams=grams), own)
        torch.testing.assert_close(found, gradient, rtol=1e-10, atol=1e-10)


def test_the_balanced_weight_lets_absent_entries_weigh_as_much_as_present_ones():
    sizes = (6, 5, 4)
    factors = [normal(size, 3, seed=size) for size in sizes]
    indices = torch.tensor([[0, 1, 2], [3, 4, 0]])
    weight = balanced_weight(2, sizes, ratio=3.0)
    predicted = dense_prediction(factors)
    present = predict(indices, factors)
    expected = (1 - present).square().mean() + 3 * predicted.square().mean()
    expected = expected - weight * present.square().mean()
    torch.testing.assert_close(gram_loss(indices, factors, absent_weight=weight), expected)


def test_both_sides_weigh_the_same_unless_a_ratio_is_given():
    assert balanced_weight(3, (5, 4)) == 3 / 20
    assert balanced_weight(3, (5, 4), ratio=0.5) == 1.5 / 20


def test_a_relation_without_items_and_hyperedges_costs_nothing():
    factors = [torch.zeros(0, 3).requires_grad_(), normal(4, 3).float()]
    loss = gram_loss(torch.zeros(0, 2, dtype=torch.int64), factors)
    loss.backward()
    assert loss == 0
    assert factors[0].grad.shape == (0, 3)


@pytest.mark.parametrize("ratio", [1e-3, 1.0])
def test_its_size_is_that_of_one_hyperedge_whatever_the_sizes(ratio):
    for size, n in [(10, 5), (1000, 50), (100_000, 5000)]:
        factors = [torch.zeros(size, 4)] * 4
        indices = torch.randint(size, (n, 4))
        weight = balanced_weight(n, (size,) * 4, ratio)
        assert gram_loss(indices, factors, absent_weight=weight) == 1


def test_a_tensor_that_no_memory_holds_is_fitted():
    sizes = (200_000,) * 8  # 2.6e42 entries: more than float32 can count
    generator = torch.Generator().manual_seed(0)
    factors = [torch.rand(size, 4, generator=generator).requires_grad_() for size in sizes]
    indices = torch.randint(200_000, (1000, 8), generator=generator)
    loss = gram_loss(indices, factors, absent_weight=balanced_weight(1000, sizes))
    loss.backward()
    assert prod(sizes) > torch.finfo(torch.float32).max
    assert torch.isfinite(loss)
    assert all(torch.isfinite(factor.grad).all() for factor in factors)
