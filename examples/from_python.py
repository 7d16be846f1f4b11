"""A whole job from Python: build, partition, train, evaluate, recommend, fine-tune.

    python examples/from_python.py

Encoder, loss and callback are this file's own. Other processes, such as the evaluator, import them
from here by name, so the job is behind `if __name__ == "__main__"`.

Legend: n input nodes, D features, H hidden.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import torch
from torch.nn.functional import softplus

import hvdtma
from hvdtma.tasks.links import LinkTask

CLUBS, MEMBERS = 30, 20
NAMES = [f"{person:03d} of club {club}" for club in range(CLUBS) for person in range(MEMBERS)]


class GatedMean(torch.nn.Module):
    """Each layer adds a learned share of the neighbours' mean to the node's own values."""

    first_layer = "mean"  # the first layer reads the stored mean over all training neighbours

    def __init__(self, in_dim, hidden=32, layers=2):
        super().__init__()
        self.out_dim = hidden
        widths = list(pairwise([in_dim] + [hidden] * layers))
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*width) for width in widths)
        self.gates = torch.nn.ModuleList(torch.nn.Linear(2 * width, 1) for width, _ in widths)

    def forward(self, blocks, x_nD, first_hop):
        h = self.layer(0, x_nD, first_hop.mean)
        for number, block in enumerate(blocks, start=1):
            h = self.layer(number, h[: block.num_dst].relu(), block.mean(h.relu()))
        return h

    def layer(self, number, own_nH, mean_nH):
        gate_n1 = self.gates[number](torch.cat([own_nH, mean_nH], 1)).sigmoid()
        return self.layers[number](own_nH + gate_n1 * mean_nH)


class BayesianRanking(LinkTask):
    """The BPR loss: a link should score higher than its negatives (Rendle et al., UAI 2009)."""

    def loss(self, model, batch):
        groups = self.scores(model, batch)
        total = sum(softplus(group.negative - group.of_negatives).sum() for group in groups)
        return total / sum(group.num_negatives for group in groups)


class Progress(hvdtma.Callback):
    """Prints the loss of each round, and stops training once it is low enough."""

    def __init__(self, low_enough):
        self.low_enough = low_enough

    def on_round(self, outcome):
        loss = sum(outcome.losses) / len(outcome.losses)
        print(f"round {outcome.round}: loss {loss:.3f}, steps {outcome.steps}")
        return loss < self.low_enough


def friendships(seed):
    """A table of 5,000 friendships; nine in ten are within a club."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, len(NAMES), 5000)
    same_club = a // MEMBERS * MEMBERS + rng.integers(0, MEMBERS, len(a))
    b = np.where(rng.random(len(a)) < 0.9, same_club, rng.integers(0, len(NAMES), len(a)))
    return pa.table({"a": [NAMES[i] for i in a], "b": [NAMES[i] for i in b]})


def interests(seed=0):
    """A table of eight numbers for each person, which hint at the club."""
    rng = np.random.default_rng(seed)
    of_club = rng.normal(size=(CLUBS, 8)).repeat(MEMBERS, axis=0)
    values = of_club + rng.normal(size=of_club.shape)
    return pa.table({"id": NAMES} | {f"x{i}": values[:, i] for i in range(8)})


def main():
    """The whole job, in the working directory."""
    store = hvdtma.build(
        "friends.zarr",
        edges=friendships(seed=1),
        features=interests(),
        undirected=True,
        negatives=100,
    )
    store = hvdtma.partition(store, "friends-super.zarr", "super", super_nodes=60)

    config = hvdtma.load_config(
        store=store.path,
        run="runs/friends",
        trainers=2,
        interval_steps=15,
        rounds=8,
        model={"encoder": "from_python:GatedMean", "hidden": 32},
        task={"name": "from_python:BayesianRanking", "batch_size": 512},
        optimizer={"lr": 0.01},
    )
    run = hvdtma.train(config, callbacks=[Progress(low_enough=0.05)])
    scores = hvdtma.evaluate(run)
    print(f"test MRR {scores['mrr']:.3f}, of the best round by validation, {scores['round']}")

    person = NAMES[0]
    best = hvdtma.Run.load("runs/friends").topk(person, 5)
    for name, score in zip(best.ids, best.scores, strict=True):
        print(f"{person} may know {name} ({score:.2f})")

    # A year later: other friendships of the same people. Training goes on from the parameters.
    later = hvdtma.build(
        "later.zarr",
        edges=friendships(seed=2),
        features=interests(),
        undirected=True,
        negatives=100,
    )
    tuned = hvdtma.train(config, init=run, store=later.path, run="runs/later", rounds=2)
    print(f"test MRR a year later, fine-tuned: {hvdtma.evaluate(tuned)['mrr']:.3f}")


if __name__ == "__main__":
    main()
