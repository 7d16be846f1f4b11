"""Factors learn, by each loss and at any arity, what held-out hyperedges look like."""

import pytest
import torch

from hypergraph.model.diffusion import FactorNet, initial_scale
from hypergraph.model.laplacian import normalised_laplacian, rescaled
from hypergraph.model.objective import (
    balanced_weight,
    corrupt,
    gram_loss,
    observed_loss,
    predict,
    ranking_loss,
    smoothness,
)

ITEMS, CLASSES, RANK = 40, 4, 8


def planted(arity, num_hyperedges=600):
    """Hyperedges of items of one class; the class of an item is its number modulo CLASSES."""
    generator = torch.Generator().manual_seed(0)
    member = torch.randint(ITEMS // CLASSES, (num_hyperedges, arity), generator=generator)
    kind = torch.randint(CLASSES, (num_hyperedges, 1), generator=generator)
    hyperedges = (member * CLASSES + kind).unique(dim=0)
    return hyperedges[torch.randperm(len(hyperedges), generator=generator)]


def nets_of(arity, **options):
    torch.manual_seed(0)
    options = {"scale": initial_scale(RANK, arity), "order": 1, "steps": 0, **options}
    return [FactorNet(ITEMS, RANK, **options) for _ in range(arity)]


def train(nets, loss, operator=None, steps=80):
    adam = torch.optim.Adam([p for net in nets for p in net.parameters()], 0.03)
    for _ in range(steps):
        value = loss([net(operator) for net in nets])
        adam.zero_grad()
        value.backward()
        adam.step()
    return [net(operator).detach() for net in nets]


def share_ranked_above(hyperedges, factors):
    """How often a held-out hyperedge scores higher than one of which an item is replaced."""
    sizes = [ITEMS] * len(factors)
    false = corrupt(hyperedges, sizes, 20, torch.Generator().manual_seed(1))
    above = []
    for k in range(len(factors)):
        for one in false[:, k].T:
            replaced = hyperedges.clone()
            replaced[:, k] = one
            above.append(predict(hyperedges, factors) > predict(replaced, factors))
    return torch.stack(above).float().mean().item()


@pytest.mark.parametrize("arity", [3, 6])
@pytest.mark.parametrize("kind", ["gram", "ranking"])
def test_held_out_hyperedges_are_told_from_others(kind, arity):
    hyperedges = planted(arity)
    held_out, present = hyperedges[:100], hyperedges[100:]
    sizes, generator = [ITEMS] * arity, torch.Generator().manual_seed(0)
    weight = balanced_weight(len(present), sizes)

    def loss(factors):
        if kind == "gram":
            return gram_loss(present, factors, absent_weight=weight)
        return ranking_loss(present, corrupt(present, sizes, 5, generator), factors)

    # by chance 0.5; 0.88 is what knowing the classes allows, others being as likely as the true
    assert share_ranked_above(held_out, train(nets_of(arity), loss)) > 0.8


def test_a_graph_completes_items_that_nothing_else_is_known_of():
    hyperedges = planted(3)
    unseen = (hyperedges >= ITEMS // 2).any(1)
    same = [(u, v) for u in range(ITEMS) for v in range(u) if (u - v) % CLASSES == 0]
    laplacian = normalised_laplacian(torch.tensor(same), num_nodes=ITEMS)
    present, weight = hyperedges[~unseen], balanced_weight(int((~unseen).sum()), [ITEMS // 2] * 3)

    def fit(factors):
        seen = [factor[: ITEMS // 2] for factor in factors]
        return gram_loss(present, seen, absent_weight=weight)

    def smooth_fit(factors):
        return fit(factors) + 0.1 * sum(smoothness(factor, laplacian) for factor in factors)

    with_graph = train(nets_of(3, steps=2), smooth_fit, rescaled(laplacian))
    without = train(nets_of(3), fit)
    assert share_ranked_above(hyperedges[unseen], with_graph) > 0.82
    assert share_ranked_above(hyperedges[unseen], without) < 0.75


def test_values_are_learnt_from_those_observed():
    generator = torch.Generator().manual_seed(0)
    truth = [torch.randn(ITEMS, 2, generator=generator) for _ in range(2)]
    at = torch.cartesian_prod(torch.arange(ITEMS), torch.arange(ITEMS))
    at = at[torch.randperm(len(at), generator=generator)]
    values = 3 + predict(at, truth)
    seen = slice(400, None)
    factors = train(
        nets_of(2),
        lambda factors: observed_loss(at[seen], values[seen], factors, mean=3.0),
        steps=300,
    )
    left = observed_loss(at[:400], values[:400], factors, mean=3.0)
    assert left < 0.1 * (values[:400] - 3).square().mean()
