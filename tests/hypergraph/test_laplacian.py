"""Laplacians are the written-out ones, and what is said of their eigenvalues holds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_incidences import inverse, normal

from hvdtma.core.errors import UserError
from hypergraph.model.laplacian import normalised_laplacian, rescaled


@st.composite
def graphs(draw):
    """(edges [E, 2], weights [E] or None, N): either way round, loops, repeated pairs, no edges."""
    num_nodes = draw(st.integers(1, 7))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=12))
    weight = st.lists(
        st.floats(0, 1e6, allow_subnormal=False), min_size=len(edges), max_size=len(edges)
    )
    weights = draw(st.none() | weight)
    return (
        torch.tensor(edges, dtype=torch.int64).reshape(-1, 2),
        None if weights is None else torch.tensor(weights, dtype=torch.float64),
        num_nodes,
    )


def laplacian_of(graph):
    edges, weight, num_nodes = graph
    return normalised_laplacian(edges, weight, num_nodes=num_nodes, dtype=torch.float64)


def written_out(graph):
    edges, weight, num_nodes = graph
    adjacency = torch.zeros(num_nodes, num_nodes, dtype=torch.float64)
    for number, (u, v) in enumerate(edges.tolist()):
        if u != v:
            adjacency[u, v] += 1 if weight is None else weight[number]
            adjacency[v, u] += 1 if weight is None else weight[number]
    degree = adjacency.sum(1)
    root = torch.diag(inverse(degree, 0.5))
    return torch.diag((degree > 0).double()) - root @ adjacency @ root


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_the_laplacian_is_the_written_out_one(graph):
    expected, found = written_out(graph), laplacian_of(graph)
    assert found.csr.layout == torch.sparse_csr
    torch.testing.assert_close(found.csr.to_dense(), expected)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_it_is_symmetric_with_eigenvalues_from_0_to_2_and_rescaled_from_minus_1_to_1(graph):
    laplacian = laplacian_of(graph)
    dense = laplacian.csr.to_dense()
    torch.testing.assert_close(dense, dense.T)
    assert laplacian.csr_T is laplacian.csr
    eigenvalues = torch.linalg.eigvalsh(dense)
    assert eigenvalues.min() > -1e-9
    assert eigenvalues.max() < 2 + 1e-9
    between = rescaled(laplacian).csr.to_dense()
    torch.testing.assert_close(between, dense - torch.eye(len(dense), dtype=torch.float64))
    assert torch.linalg.eigvalsh(between).abs().max() < 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_product_has_a_gradient_to_the_dense_side(graph):
    laplacian = laplacian_of(graph)
    x = normal(graph[2], 2).requires_grad_()
    torch.testing.assert_close(laplacian @ x, written_out(graph) @ x)
    assert torch.autograd.gradcheck(lambda x: laplacian @ x, x)


@pytest.mark.parametrize(
    ("edges", "weight", "message"),
    [
        ([[0, 3]], None, "edges has the index 3; .*valid are 0 to 2"),
        ([[0, 1, 2]], None, r"must be \[E, 2\]"),
        ([[0, 1]], [1.0, 2.0], "give one per edge"),
        ([[0, 1], [1, 2]], [1.0, -2.0], "edge 1 has the weight -2.0"),
        ([[0, 1]], [float("nan")], "finite and not negative"),
        ([[0, 1]], [float("inf")], "finite and not negative"),
    ],
)
def test_bad_graphs_are_explained(edges, weight, message):
    weight = None if weight is None else torch.tensor(weight)
    with pytest.raises(UserError, match=message):
        normalised_laplacian(torch.tensor(edges), weight, num_nodes=3)
