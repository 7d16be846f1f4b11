"""Node classification: labelled nodes of the shard, with cross-entropy.

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
from hvdtma.graph.stored_rows import read_rows, stored
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.neighbourhood import Neighbourhood
from hvdtma.sampling.sampler import make_sampler
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS, shuffled_batches
from hvdtma.tasks.metrics import class_metrics
from hvdtma.tasks.task import Embeddings, Model, TrainingSize, max_of_sample


@dataclass
class NodeBatch:
    """Labelled nodes (the seeds) with their neighbourhood, and their labels int64 [B]."""

    neighbourhood: Neighbourhood
    label: torch.Tensor

    @property
    def size(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> NodeBatch:
        return NodeBatch(self.neighbourhood.to(device), self.label.to(device))


class NodeTask:
    """Node classification on one store. See `hvdtma.tasks.task.Task`.

    Raises UserError if the store has no labels.
    """

    metrics = ("accuracy", "macro_f1")
    unit = "nodes"
    needs_remote = False
    needs_labels = True
    nodes_per_item = 1

    def __init__(self, config: TrainConfig, store: GraphFacts):
        if "label" not in store:
            raise UserError(
                f"{store.path} has no labels; build it with --labels, or set task.name=links"
            )
        self.config, self.store = config, store
        self.sampler = make_sampler(config.sampler, sampled_fanouts(config))
        self.num_classes = len(store.label_names)
        self.seeds_per_step = config.task.batch_size

    def make_head(self, dim: int) -> nn.Module:
        return nn.Linear(dim, self.num_classes)

    def num_examples(self, size: TrainingSize) -> int:
        return size.num_train_nodes

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[NodeBatch]:
        """Batches of labelled nodes, which are shuffled anew for each epoch."""
        labels = shard.label
        assert labels is not None  # checked by the constructor

        def shuffled(epoch: int) -> np.ndarray:
            return np.random.default_rng([*stream, 0, epoch]).permutation(shard.train_nodes)

        for step, chosen in shuffled_batches(
            shuffled,
            shard.num_train_nodes,
            self.config.task.batch_size,
            epochs=epochs,
            first_step=first_step,
            keep_single=False,  # batch norm needs two nodes
        ):
            rng, nodes = np.random.default_rng([*stream, 1, step]), torch.from_numpy(chosen)
            neighbourhood = self.sampler.sample(
                shard, nodes, random_seed=int(rng.integers(1 << 31))
            )
            yield NodeBatch(neighbourhood, labels[nodes])

    def loss(self, model: Model, batch: NodeBatch) -> torch.Tensor:
        """Mean cross-entropy."""
        hood = batch.neighbourhood
        h_BH = model.encoder(hood.blocks, hood.x, hood.first_hop)
        return cross_entropy(model.head(h_BH), batch.label)

    def num_held_out(self, part: str) -> int:
        name = f"split/{part}/node"
        return stored(self.store).array(name).shape[0] if name in self.store else 0

    def max_scored(self, part: str) -> int:
        return max_of_sample(self.config)

    def held_out_bytes(self) -> int:
        return 8 * self.store.num_nodes  # at most all nodes are held out

    def read_held_out(self, part: str, chosen: np.ndarray | None) -> np.ndarray:
        return read_rows(stored(self.store), f"split/{part}/node", chosen)

    @torch.no_grad()
    def score(self, model: Model, held_out: np.ndarray, embeddings: Embeddings) -> dict[str, float]:
        predicted = []
        step = embeddings.max_nodes or len(held_out)
        for h in embeddings.in_pieces(len(held_out), step, lambda rows: embeddings(held_out[rows])):
            logits = model.head(torch.from_numpy(h).to(embeddings.device))
            predicted.append(logits.argmax(1).cpu().numpy())
        label = read_rows(stored(self.store), "label", held_out)
        return class_metrics(np.concatenate(predicted), label)
