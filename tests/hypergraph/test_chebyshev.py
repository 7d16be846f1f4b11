"""Chebyshev convolutions are the polynomials written out."""

import numpy as np
import pytest
import torch
from small_incidences import normal

from hypergraph.model.chebyshev import ChebyshevConv, chebyshev_terms
from hypergraph.model.laplacian import normalised_laplacian, rescaled

RING = torch.tensor([[node, (node + 1) % 6] for node in range(6)])


@pytest.fixture
def operator():
    """Of a weighted ring with two nodes beside it."""
    weight = torch.arange(1.0, 7.0)
    return rescaled(normalised_laplacian(RING, weight, num_nodes=8, dtype=torch.float64))


def polynomial(matrix, degree):
    """T_degree(matrix) by its coefficients."""
    powers = np.polynomial.chebyshev.cheb2poly([0] * degree + [1])
    return sum(c * torch.linalg.matrix_power(matrix, p) for p, c in enumerate(powers))


@pytest.mark.parametrize("order", range(6))
def test_terms_are_the_polynomials_written_out(order, operator):
    x, matrix = normal(8, 3), operator.csr.to_dense()
    for degree, term in enumerate(chebyshev_terms(operator, x, order)):
        torch.testing.assert_close(term, polynomial(matrix, degree) @ x)
    assert len(chebyshev_terms(operator, x, order)) == order + 1


@pytest.mark.parametrize("order", range(5))
def test_the_convolution_mixes_them_and_has_the_right_gradients(order, operator):
    torch.manual_seed(0)
    conv, x = ChebyshevConv(3, 2, order).double(), normal(8, 3).requires_grad_()
    matrix = operator.csr.to_dense()
    parts = conv.theta.weight.split(3, 1)
    expected = sum(polynomial(matrix, k) @ x @ part.T for k, part in enumerate(parts))
    torch.testing.assert_close(conv(x, operator), expected + conv.theta.bias)
    torch.testing.assert_close(conv(x, matrix), conv(x, operator))
    assert torch.autograd.gradcheck(lambda x: conv(x, operator), x)


@pytest.mark.parametrize("order", range(5))
def test_no_operator_is_the_zero_one(order):
    torch.manual_seed(0)
    conv, x = ChebyshevConv(3, 2, order).double(), normal(8, 3)
    zero = torch.zeros(8, 8, dtype=torch.float64)
    torch.testing.assert_close(conv(x, None), conv(x, zero))


@pytest.mark.parametrize("order", range(4))
def test_a_node_hears_as_many_hops_as_the_order(order, operator):
    torch.manual_seed(0)
    conv, x = ChebyshevConv(1, 1, order).double(), normal(8, 1).requires_grad_()
    conv(x, operator)[0].sum().backward()
    heard = set(x.grad[:, 0].nonzero()[:, 0].tolist())
    assert heard == {hop % 6 for hop in range(-order, order + 1)}
