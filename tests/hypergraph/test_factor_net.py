"""A modality's factor: where it starts, what diffusion does to it, what it does without a graph."""

from itertools import combinations

import pytest
import torch
from small_incidences import normal

from hvdtma.core.errors import UserError
from hypergraph.model.diffusion import FIRST_SCORE, Diffusion, FactorNet, initial_scale
from hypergraph.model.laplacian import normalised_laplacian, rescaled
from hypergraph.model.objective import predict
from hypergraph.model.unseen import kept_rows
from hypergraph.sparse import SparseMatrix

RING = torch.tensor([[node, (node + 1) % 6] for node in range(6)])


def operator(dtype=torch.float32):
    return rescaled(normalised_laplacian(RING, num_nodes=8, dtype=dtype))


def net(**options):
    torch.manual_seed(0)
    made = FactorNet(8, 4, **{"scale": 0.5, "order": 2, "steps": 3, **options})
    if made.diffusion is not None:
        torch.nn.init.normal_(made.diffusion.update.weight)
    return made


@pytest.mark.parametrize("rank", [4, 64])
@pytest.mark.parametrize("arity", [2, 3, 4, 8])
def test_fresh_factors_predict_about_the_same_whatever_their_number_and_rank(arity, rank):
    torch.manual_seed(0)
    scale = initial_scale(rank, arity)
    nets = [FactorNet(500, rank, scale=scale, order=1, steps=1) for _ in range(arity)]
    everywhere = torch.randint(500, (5000, arity))
    scores = predict(everywhere, [made() for made in nets])
    assert (scores > 0).all()
    assert scores.mean().item() == pytest.approx(FIRST_SCORE, rel=0.25)


def test_it_starts_as_the_plain_factorisation_and_can_leave_it_at_once():
    torch.manual_seed(0)
    made = FactorNet(8, 4, scale=0.5, order=2, steps=3)
    assert made(operator()).equal(made.factor)
    made(operator()).square().sum().backward()
    assert made.diffusion.update.weight.grad.abs().sum() > 0


def test_diffusion_is_the_recurrence_written_out():
    made = net()
    diffusion, factor, matrix = made.diffusion, made.factor, operator().csr.to_dense()
    hidden = memory = torch.zeros(8, 4)
    for _ in range(3):
        terms = [factor, matrix @ factor, 2 * matrix @ matrix @ factor - factor]
        around = torch.cat(terms, 1) @ diffusion.conv.theta.weight.T + diffusion.conv.theta.bias
        cell = diffusion.cell
        gates = around @ cell.weight_ih.T + cell.bias_ih + hidden @ cell.weight_hh.T + cell.bias_hh
        i, f, g, o = gates.chunk(4, 1)
        memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(memory)
        factor = factor + hidden @ diffusion.update.weight.T
    torch.testing.assert_close(made(operator()), factor)


def test_without_steps_there_is_nothing_but_the_factor():
    made = net(steps=0)
    assert made(operator()).equal(made.factor)
    assert [name for name, _ in made.named_parameters()] == ["factor"]
    assert Diffusion(4, order=2, steps=0)(made.factor, None) is made.factor


def test_one_that_begins_at_one_keeps_its_spread_and_moves_as_far_for_its_size():
    """In steps of one size, as Adam's; and is the same if told twice."""
    made, other = net(steps=0), net(steps=0)
    made.init_at_one()
    made.init_at_one()
    rows, others = made().detach(), other().detach()
    torch.testing.assert_close(rows - 1, others - others.mean())
    for each in (made, other):
        adam = torch.optim.Adam(each.parameters(), lr=0.01)
        each().sum().backward()
        adam.step()
    torch.testing.assert_close(rows - made(), (others - other()) / made.scale)


def test_without_a_graph_no_item_hears_another():
    made = net()
    made()[0].sum().backward()
    assert made.factor.grad[0].abs().sum() > 0
    assert made.factor.grad[1:].abs().sum() == 0


def test_with_a_graph_items_hear_their_neighbours_and_all_parameters_learn():
    made = net(order=1, steps=2)
    made(operator())[0].sum().backward()
    heard = made.factor.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert heard == [0, 1, 2, 4, 5]  # two steps of one hop; 6 and 7 are in no edge
    assert all(p.grad.abs().sum() > 0 for p in made.parameters())


def test_features_dense_or_sparse_are_encoded_and_added():
    made, features = net(feature_dim=5, steps=0), normal(8, 5).float().relu()
    expected = made.factor + features @ made.encoder
    torch.testing.assert_close(made(None, features), expected)
    row, col = features.nonzero().T
    sparse = SparseMatrix.of(row, col, features[row, col], (8, 5))
    torch.testing.assert_close(made(None, sparse), expected)
    gradients = []
    for given in (features, sparse):
        made.zero_grad()
        made(None, given).square().sum().backward()
        gradients.append(made.encoder.grad)
    torch.testing.assert_close(*gradients)


def test_dropped_rows_are_the_mean_as_those_of_unseen_items_are_and_learn_nothing():
    """Features are added to them as to others; rows of unseen items are neither."""
    seen = torch.tensor([True] * 7 + [False])
    made, features = net(feature_dim=5, steps=0, seen_N=seen), normal(8, 5).float()
    kept = torch.tensor([True, False, True, True, False, True, True, True])[:, None]
    rows = made(None, features, kept) - features @ made.encoder
    mean = made.factor[:7].mean(0)
    for item in (1, 4, 7):
        torch.testing.assert_close(rows[item], mean)
    torch.testing.assert_close(rows[[0, 2, 3, 5, 6]], made.factor[[0, 2, 3, 5, 6]])
    rows.square().sum().backward()
    assert made.factor.grad.abs().sum(1).nonzero()[:, 0].tolist() == [0, 2, 3, 5, 6]
    rows = made(None, features, torch.zeros_like(kept)) - features @ made.encoder
    torch.testing.assert_close(rows, mean.expand(8, -1))  # also if all that are seen are dropped


def test_other_rows_are_dropped_in_each_iteration_and_for_each_seed_and_modality():
    drawn = {
        asked: kept_rows(asked[0], 20_000, 0.3, *asked[1:])
        for asked in [("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("b", 0, 0)]
    }
    for asked, kept in drawn.items():
        assert kept.shape == (20_000, 1)
        assert kept.float().mean().item() == pytest.approx(0.7, abs=0.02)
        assert kept.equal(kept_rows(asked[0], 20_000, 0.3, *asked[1:]))
    for one, other in combinations(drawn.values(), 2):
        assert (one == other).float().mean().item() == pytest.approx(0.58, abs=0.02)
    assert kept_rows("a", 5, 0.0, 0, 0) is None


def test_gradients_are_right_through_all_steps():
    made = net(feature_dim=5).double()
    features, at = normal(8, 5), operator(torch.float64)
    parameters = dict(made.named_parameters())

    def run(*values):
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(made, named, (at, features))

    assert torch.autograd.gradcheck(run, tuple(parameters.values()), fast_mode=True)


def test_a_seed_gives_the_same_net():
    assert all(a.equal(b) for a, b in zip(net().parameters(), net().parameters(), strict=True))


@pytest.mark.parametrize(
    ("feature_dim", "given", "message"),
    [
        (None, 3, "got features of width 3; it was made for no features"),
        (5, None, "got no features; it was made for width 5"),
        (5, 4, "got features of width 4; it was made for width 5"),
    ],
)
def test_features_it_was_not_made_for_are_refused(feature_dim, given, message):
    features = None if given is None else torch.ones(8, given)
    with pytest.raises(UserError, match=message):
        net(feature_dim=feature_dim)(None, features)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_agrees_with_the_cpu():
    made = net()
    expected = made(operator())
    found = made.to("cuda")(operator().to("cuda"))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-5, atol=1e-5)
