"""Node classification: labelled nodes of the shard, cross-entropy.

Legend: B nodes of a batch, C classes, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.sampling.neighbourhood import Neighbourhood, sample_neighbourhood
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS, shuffled_batches
from hvdtma.tasks.task import Holding, Model, sampled_fanouts


@dataclass
class NodeBatch:
    """B labelled nodes and what surrounds them; label int64 [B]."""

    neighbourhood: Neighbourhood
    label: torch.Tensor

    @property
    def size(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> NodeBatch:
        return NodeBatch(self.neighbourhood.to(device), self.label.to(device))


class NodeTask:
    """Node classification on one store; raises UserError if it has no labels."""

    needs_remote = False
    needs_labels = True

    def __init__(self, config: TrainConfig, store: GraphFacts):
        if "label" not in store:
            raise UserError(
                f"{store.path} has no labels; build it with --labels, or task.name=links"
            )
        self.task = config.task
        self.fanouts = sampled_fanouts(config)
        self.num_classes = len(store.label_names)

    def make_head(self, dim: int) -> nn.Module:
        return nn.Linear(dim, self.num_classes)

    def num_examples(self, held: Holding) -> int:
        return held.num_train_nodes

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[NodeBatch]:
        """Batches of so many epochs; nodes are shuffled anew for each."""
        labels = shard.label
        assert labels is not None  # the constructor saw to it

        def shuffled(epoch: int) -> np.ndarray:
            return np.random.default_rng([*stream, 0, epoch]).permutation(shard.train_nodes)

        for step, chosen in shuffled_batches(
            shuffled,
            shard.num_train_nodes,
            self.task.batch_size,
            epochs=epochs,
            first_step=first_step,
            alone=False,  # batch norm has no variance of one
        ):
            rng, nodes = np.random.default_rng([*stream, 1, step]), torch.from_numpy(chosen)
            neighbourhood = sample_neighbourhood(
                shard, nodes, self.fanouts, random_seed=int(rng.integers(1 << 31))
            )
            yield NodeBatch(neighbourhood, labels[nodes])

    def loss(self, model: Model, batch: NodeBatch) -> torch.Tensor:
        """Mean cross-entropy."""
        h_BH = model.encoder(
            batch.neighbourhood.blocks, batch.neighbourhood.x, batch.neighbourhood.hop
        )
        return cross_entropy(model.head(h_BH), batch.label)
