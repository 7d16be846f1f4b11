"""Hypergraph convolutions compute what their papers say, on any hypergraph."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_incidences import AWKWARD, awkward, dense, hypergraphs, inverse, normal

from hypergraph.nn import HGNNConv, Incidence, UniSAGEConv

LAYERS = [HGNNConv, UniSAGEConv]
WEIGHTS = st.none() | st.integers(0, 99)


def layer_of(kind, seed=0):
    torch.manual_seed(seed)
    layer = kind(3, 2).double()
    torch.nn.init.normal_(layer.bias if kind is HGNNConv else layer.theta.bias)
    return layer


def written_out(layer, x, matrix, weight):
    """The layer's equation in dense matrices."""
    if isinstance(layer, HGNNConv):
        degree = torch.diag(inverse(matrix @ weight, 0.5))
        size = torch.diag(inverse(matrix.sum(0)))
        mixed = degree @ matrix @ torch.diag(weight) @ size @ matrix.T @ degree
        return mixed @ x @ layer.theta.weight.T + layer.bias
    field = torch.diag(inverse(matrix.sum(0))) @ matrix.T @ x
    mean = torch.diag(inverse(matrix @ weight)) @ matrix @ torch.diag(weight) @ field
    return (x + mean) @ layer.theta.weight.T + layer.theta.bias


def weights_of(incidence, seed):
    if seed is None:
        return None
    weight = normal(incidence.num_hyperedges, seed=seed).abs()
    weight[::3] = 0
    return weight


@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=60, deadline=None)
@given(given_hypergraph=hypergraphs(), weights=WEIGHTS)
def test_a_layer_is_its_equation(kind, given_hypergraph, weights):
    layer, matrix = layer_of(kind), dense(*given_hypergraph)
    incidence, x = Incidence.from_hyperedges(*given_hypergraph), normal(len(matrix), 3)
    weight = weights_of(incidence, weights)
    one = torch.ones(matrix.shape[1], dtype=torch.float64)
    expected = written_out(layer, x, matrix, one if weight is None else weight)
    torch.testing.assert_close(layer(x, incidence, weight), expected)


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_are_right_for_features_weights_and_parameters(kind):
    layer, incidence = layer_of(kind), awkward()
    x = normal(7, 3).requires_grad_()
    weight = (normal(6).abs() + 0.1).requires_grad_()
    parameters = dict(layer.named_parameters())

    def run(x, weight, *values):
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(layer, named, (x, incidence, weight))

    assert torch.autograd.gradcheck(run, (x, weight, *parameters.values()))


@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=40, deadline=None)
@given(given_hypergraph=hypergraphs(), weights=WEIGHTS)
def test_nothing_is_ever_nan_nor_are_gradients(kind, given_hypergraph, weights):
    layer, incidence = layer_of(kind).float(), Incidence.from_hyperedges(*given_hypergraph)
    x = normal(incidence.num_items, 3).float().requires_grad_()
    weight = weights_of(incidence, weights)
    weight = None if weight is None else weight.float().requires_grad_()
    out = layer(x, incidence, weight)
    out.square().sum().backward()
    found = [out, x.grad, *(p.grad for p in layer.parameters())]
    found += [] if weight is None else [weight.grad]
    assert all(torch.isfinite(tensor).all() for tensor in found)


@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=40, deadline=None)
@given(given_hypergraph=hypergraphs(), seed=st.integers(0, 99))
def test_renumbering_items_renumbers_what_comes_out(kind, given_hypergraph, seed):
    (hyperedges, num_items), layer = given_hypergraph, layer_of(kind)
    new = torch.randperm(num_items, generator=torch.Generator().manual_seed(seed))
    renamed = [[int(new[item]) for item in hyperedge] for hyperedge in hyperedges]
    x = normal(num_items, 3)
    moved = torch.empty_like(x)
    moved[new] = x
    expected = layer(x, Incidence.from_hyperedges(hyperedges, num_items))
    found = layer(moved, Incidence.from_hyperedges(renamed, num_items))
    torch.testing.assert_close(found[new], expected)


@pytest.mark.parametrize("kind", LAYERS)
@settings(max_examples=40, deadline=None)
@given(given_hypergraph=hypergraphs(), seed=st.integers(0, 99))
def test_the_order_of_hyperedges_does_not_matter(kind, given_hypergraph, seed):
    (hyperedges, num_items), layer = given_hypergraph, layer_of(kind)
    x, weight = normal(num_items, 3), normal(len(hyperedges), seed=seed).abs()
    order = torch.randperm(len(hyperedges), generator=torch.Generator().manual_seed(seed))
    shuffled = [hyperedges[number] for number in order.tolist()]
    expected = layer(x, Incidence.from_hyperedges(hyperedges, num_items), weight)
    found = layer(x, Incidence.from_hyperedges(shuffled, num_items), weight[order])
    torch.testing.assert_close(found, expected)


def test_an_item_in_no_hyperedge_gets_the_bias_alone_from_hgnn_and_keeps_itself_in_unisage():
    x, lonely = normal(AWKWARD[1], 3), [5, 6]
    hgnn, unisage = layer_of(HGNNConv), layer_of(UniSAGEConv)
    assert hgnn(x, awkward())[lonely].equal(hgnn.bias.expand(2, 2))
    torch.testing.assert_close(unisage(x, awkward())[lonely], unisage.theta(x[lonely]))


def test_a_repeated_hyperedge_is_one_of_twice_the_weight():
    x, layer = normal(3, 3), layer_of(HGNNConv)
    twice = layer(x, Incidence.from_hyperedges([[0, 1], [0, 1], [1, 2]]))
    once = Incidence.from_hyperedges([[0, 1], [1, 2]])
    torch.testing.assert_close(twice, layer(x, once, torch.tensor([2.0, 1.0]).double()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", LAYERS)
def test_a_gpu_agrees_with_the_cpu(kind):
    layer, x = layer_of(kind), normal(7, 3)
    expected = layer(x, awkward())
    there = layer.to("cuda")(x.cuda(), awkward().to("cuda"))
    torch.testing.assert_close(there.cpu(), expected)
