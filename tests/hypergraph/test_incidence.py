"""An incidence is the 0/1 matrix of its hyperedges, however it is given."""

import pickle
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_incidences import awkward, dense, hypergraphs, normal

from hvdtma.core.errors import UserError
from hypergraph.nn import Incidence
from hypergraph.sparse import SparseMatrix, inverse_root


@settings(max_examples=60, deadline=None)
@given(hypergraphs())
def test_the_matrix_degrees_and_sizes_are_those_of_the_hyperedges(given_hypergraph):
    expected = dense(*given_hypergraph)
    incidence = Incidence.from_hyperedges(*given_hypergraph)
    assert incidence.matrix.shape == expected.shape
    assert incidence.matrix.csr.to_dense().double().equal(expected)
    assert incidence.matrix.T.csr.to_dense().double().equal(expected.T)
    assert incidence.degree.tolist() == expected.sum(1).tolist()
    assert incidence.size.tolist() == expected.sum(0).tolist()


def test_rows_of_indices_are_hyperedges():
    rows = torch.tensor([[0, 2], [2, 3], [1, 1]])
    assert (
        Incidence.from_indices(rows, 5)
        .matrix.csr.to_dense()
        .equal(Incidence.from_hyperedges(rows.tolist(), 5).matrix.csr.to_dense())
    )


def test_columns_of_several_modalities_are_laid_end_to_end():
    rows = torch.tensor([[0, 2, 0], [1, 0, 0]], dtype=torch.int32)
    incidence = Incidence.from_indices(rows, [2, 3, 1])
    assert incidence.num_items == 6
    assert incidence.matrix.csr.to_dense().equal(dense([[0, 4, 5], [1, 2, 5]], 6).to(torch.float32))


def test_without_a_number_the_largest_item_is_the_last():
    assert Incidence.from_hyperedges([[0], [4, 1]]).num_items == 5
    assert Incidence.from_hyperedges([]).num_items == 0


def test_what_layers_need_is_made_once():
    incidence = awkward()
    assert incidence.matrix is incidence.matrix
    assert incidence.degree is incidence.degree


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Incidence.from_hyperedges([[0, 5]], 3),
            "item has the index 5; .*valid are 0 to 2",
        ),
        (lambda: Incidence.from_hyperedges([[-1]], 3), "item has the index -1"),
        (lambda: Incidence(torch.tensor([0]), torch.tensor([1]), 1, 1), "hyperedge has the index"),
        (lambda: Incidence(torch.tensor([0]), torch.tensor([0, 0]), 1, 1), "both must be"),
        (lambda: Incidence(torch.tensor([0.5]), torch.tensor([0]), 1, 1), "must be integers"),
        (lambda: Incidence.from_indices(torch.tensor([0, 1]), 2), r"must be \[n, K\]"),
        (lambda: Incidence.from_indices(torch.tensor([[0, 1]]), [2]), "1 sizes for 2 columns"),
        (lambda: Incidence.from_indices(torch.tensor([[2, 0]]), [2, 3]), "column 0 .* index 2"),
    ],
)
def test_bad_input_is_explained(make, message):
    with pytest.raises(UserError, match=message):
        make()


@settings(max_examples=40, deadline=None)
@given(hypergraphs(), st.integers(0, 3))
def test_a_sparse_product_and_its_gradients_are_the_dense_ones(given_hypergraph, width):
    expected = dense(*given_hypergraph)
    matrix = Incidence.from_hyperedges(*given_hypergraph).matrix.to(torch.float64)
    x = normal(expected.shape[1], width).requires_grad_()
    torch.testing.assert_close(matrix @ x, expected @ x)
    if x.numel():
        assert torch.autograd.gradcheck(lambda x: matrix @ x, x)
        assert torch.autograd.gradgradcheck(lambda x: (matrix @ x).square(), x)


def test_entries_at_the_same_place_add_up():
    at = torch.tensor([1, 0, 1])
    matrix = SparseMatrix.of(at, at, torch.tensor([1.0, 2.0, 3.0]), (2, 3))
    assert matrix.csr.to_dense().tolist() == [[2, 0, 0], [0, 4, 0]]


def test_the_inverse_root_is_flat_at_zero():
    x = torch.tensor([4.0, 0.0], requires_grad=True)
    root = inverse_root(x)
    root.sum().backward()
    assert root.tolist() == [0.5, 0]
    assert x.grad.tolist() == [-0.0625, 0]


def test_a_constant_matrix_moves_only_if_it_must_and_can_be_copied_and_pickled():
    matrix = awkward().matrix
    assert matrix.to("cpu") is matrix.to(torch.float32) is matrix
    assert matrix.to(torch.float64).csr_T.dtype == torch.float64
    assert deepcopy(matrix) is matrix
    again = pickle.loads(pickle.dumps(matrix))
    assert again.csr.to_dense().equal(matrix.csr.to_dense())


def test_torch_multiplies_by_the_csr_tensor_too():
    matrix, x = awkward().matrix, torch.ones(6, 2, requires_grad=True)
    (matrix.csr @ x).square().sum().backward()
    native, x.grad = x.grad, None
    (matrix @ x).square().sum().backward()
    torch.testing.assert_close(x.grad, native)
