"""Convolutions classify the items of a plain hypergraph that an MLP cannot."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

from hypergraph.nn import HGNNConv, Incidence, UniSAGEConv

CLASSES, ITEMS = 4, 240


@pytest.fixture(scope="module")
def planted():
    """Features that barely tell the class, hyperedges mostly within one; some hold nothing."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(CLASSES, (ITEMS,), generator=generator)
    x = torch.eye(8)[label] * 0.7 + torch.randn(ITEMS, 8, generator=generator)
    hyperedges = [[], [3], [3]]
    for number in range(300):
        size = int(torch.randint(2, 6, (1,), generator=generator))
        inside = (label == number % CLASSES).nonzero()[:, 0]
        members = inside[torch.randint(len(inside), (size,), generator=generator)]
        if number % 5 == 0:
            members[0] = torch.randint(ITEMS, (1,), generator=generator)
        hyperedges.append(members.tolist())
    train = torch.randperm(ITEMS, generator=generator)[:40]
    return x, label, Incidence.from_hyperedges(hyperedges, ITEMS), train


class Linear(nn.Linear):
    """The layer of an MLP, which does not look at the hypergraph."""

    def forward(self, x, incidence):
        return super().forward(x)


def accuracy(kind, planted):
    """On the items that were not trained on."""
    x, label, incidence, train = planted
    torch.manual_seed(0)
    first, second = kind(8, 16), kind(16, CLASSES)
    adam = torch.optim.Adam([*first.parameters(), *second.parameters()], 0.02, weight_decay=1e-3)
    for _ in range(60):
        out = second(relu(first(x, incidence)), incidence)
        adam.zero_grad()
        cross_entropy(out[train], label[train]).backward()
        adam.step()
    right = (out.argmax(1) == label).float()
    right[train] = 0
    return right.sum().item() / (ITEMS - len(train))


@pytest.mark.parametrize("kind", [HGNNConv, UniSAGEConv])
def test_a_hypergraph_convolution_beats_an_mlp_clearly(kind, planted):
    assert accuracy(kind, planted) > accuracy(Linear, planted) + 0.2
