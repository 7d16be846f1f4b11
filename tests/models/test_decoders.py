"""Decoders score links as their formulas say, one at a time or many."""

import pytest
import torch

from hvdtma.core.errors import UserError
from hvdtma.core.options import call_with_options

SYMMETRIC = ["dot", "mlp", "distmult"]
DIRECTED = ["concat", "bilinear"]


@pytest.fixture
def ends():
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(2, 7, 6, generator=generator)
    return u, v, torch.tensor([0, 1, 2, 2, 1, 0, 2])


def make_decoder(name, num_types=3, *, undirected=True):
    defaults = {"num_types": num_types, "undirected": undirected}
    return call_with_options("decoder", name, {}, 6, defaults=defaults)


def decoder(name):
    torch.manual_seed(1)
    made = make_decoder(name)
    if hasattr(made, "relation"):
        torch.nn.init.normal_(made.relation)
    return made


def test_dot_is_the_inner_product(ends):
    u, v, _ = ends
    torch.testing.assert_close(decoder("dot")(u, v), torch.einsum("qh,qh->q", u, v))


def test_distmult_is_one_diagonal_form_per_type(ends):
    u, v, types = ends
    made = decoder("distmult")
    expected = [u[q] @ torch.diag(made.relation[types[q]]) @ v[q] for q in range(len(types))]
    torch.testing.assert_close(made(u, v, types), torch.stack(expected))


def test_distmult_begins_as_the_inner_product_and_learns_the_types_it_saw(ends):
    u, v, types = ends
    made = make_decoder("distmult")
    torch.testing.assert_close(made(u, v, types), decoder("dot")(u, v))
    made(u, v, torch.ones_like(types)).sum().backward()
    assert (made.relation.grad.abs().sum(1) > 0).tolist() == [False, True, False]


def test_the_mlp_reads_the_elementwise_product(ends):
    u, v, _ = ends
    made = decoder("mlp")
    first, slope, last = made.mlp[0], made.mlp[1].weight, made.mlp[2]
    hidden = (u * v) @ first.weight.T + first.bias
    hidden = torch.where(hidden > 0, hidden, slope * hidden)
    torch.testing.assert_close(made(u, v), (hidden @ last.weight.T + last.bias)[:, 0])


def test_concat_is_an_mlp_on_both_embeddings_and_a_vector_per_type(ends):
    u, v, types = ends
    made = decoder("concat")
    hidden = torch.cat([u, v], 1) @ made.hidden.weight.T + made.hidden.bias + made.relation[types]
    hidden = torch.where(hidden > 0, hidden, made.out[0].weight * hidden)
    expected = (hidden @ made.out[1].weight.T + made.out[1].bias)[:, 0]
    torch.testing.assert_close(made(u, v, types), expected)


def test_bilinear_is_one_matrix_per_type(ends):
    u, v, types = ends
    made = decoder("bilinear")
    expected = [u[q] @ made.relation[types[q]] @ v[q] for q in range(len(types))]
    torch.testing.assert_close(made(u, v, types), torch.stack(expected))
    made(u, v, torch.ones_like(types)).sum().backward()
    assert (made.relation.grad.abs().sum((1, 2)) > 0).tolist() == [False, True, False]


@pytest.mark.parametrize("name", DIRECTED)
def test_directed_decoders_need_no_types(name, ends):
    u, v, _ = ends
    made = make_decoder(name, 0)
    assert made(u, v, None).shape == (7,)
    assert not torch.allclose(made(u, v, None), made(v, u, None))


@pytest.mark.parametrize("name", SYMMETRIC + DIRECTED)
def test_scores_do_not_depend_on_company_and_on_direction_only_where_they_should(name, ends):
    u, v, types = ends
    made = decoder(name)
    scores = made(u, v, types)
    assert scores.shape == (7,)
    assert torch.allclose(made(v, u, types), scores, atol=1e-6) == (name in SYMMETRIC)
    assert made.symmetric == (name in SYMMETRIC)
    torch.testing.assert_close(made(u[2:3], v[2:3], types[2:3]), scores[2:3])
    many = made(u[:, None].expand(7, 7, 6), v[None].expand(7, 7, 6), types[:, None].expand(7, 7))
    torch.testing.assert_close(many.diagonal(), scores)


def test_distmult_needs_edge_types():
    with pytest.raises(UserError, match="distmult needs a store with edge types; valid here: mlp"):
        make_decoder("distmult", 0)
