"""Labels of nodes: classification, several labels per node, or regression.

The kind of the store's labels chooses loss, head and metrics (`hvdtma.tasks.target_kinds`).

Legend: B nodes of a batch, Q held-out nodes, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.stored_rows import read_rows, stored
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.neighbourhood import Neighbourhood
from hvdtma.sampling.sampler import make_sampler
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS, shuffled_batches
from hvdtma.tasks.target_kinds import TARGETS
from hvdtma.tasks.task import Embeddings, Model, TrainingSize, max_of_sample

NODES_AT_ONCE = 1 << 14  # held-out nodes in the head


@dataclass
class NodeBatch:
    """Labelled nodes (the seeds) with their neighbourhood, and their labels [B, ...]."""

    neighbourhood: Neighbourhood
    label: torch.Tensor

    @property
    def size(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> NodeBatch:
        return NodeBatch(self.neighbourhood.to(device), self.label.to(device))


class NodeTask:
    """Learning the labels of nodes on one store. See `hvdtma.tasks.task.Task`.

    The class attribute `metrics` has those of all kinds of labels, an instance's those of the
    store's kind.

    Raises UserError if the store has no labels, and for weights of classes that it does not have.
    """

    metrics: Sequence[str] = tuple(
        dict.fromkeys(name for kind in TARGETS.values() for name in kind.metrics)
    )
    unit = "nodes"
    needs_remote = False
    needs_labels = True
    nodes_per_item = 1

    def __init__(self, config: TrainConfig, store: GraphFacts):
        if "label" not in store:
            raise UserError(
                f"{store.path} has no labels; build it with --labels, or set task.name=links"
            )
        if not store.label_names:
            raise UserError(f"no node of {store.path} has a label; set task.name=links")
        self.config, self.store = config, store
        self.target = TARGETS[store.label_kind](store, config.task.class_weights)
        self.metrics, self.least_is_best = self.target.metrics, self.target.least_is_best
        self.sampler = make_sampler(config.sampler, sampled_fanouts(config))
        self.seeds_per_step = config.task.batch_size

    def make_head(self, dim: int) -> nn.Module:
        return self.target.make_head(dim)

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
        """The loss of the kind of labels."""
        hood = batch.neighbourhood
        h_BH = model.encoder(hood.blocks, hood.x, hood.first_hop)
        return self.target.loss(model.head, h_BH, batch.label)

    def num_held_out(self, part: str) -> int:
        return self.store.held_out_nodes.get(part, 0)

    def max_scored(self, part: str) -> int:
        return max_of_sample(self.config)

    def held_out_bytes(self) -> int:
        scored = [self.max_scored(part) or n for part, n in self.store.held_out_nodes.items()]
        return 8 * sum(scored) + self.target.scored_bytes * max(scored, default=0)

    def read_held_out(self, part: str, chosen: np.ndarray | None) -> np.ndarray:
        return read_rows(stored(self.store), f"split/{part}/node", chosen)

    @torch.no_grad()
    def score(self, model: Model, held_out: np.ndarray, embeddings: Embeddings) -> dict[str, float]:
        predicted = []
        step = embeddings.max_nodes or NODES_AT_ONCE
        for h in embeddings.in_pieces(len(held_out), step, lambda rows: embeddings(held_out[rows])):
            for start in range(0, len(h), NODES_AT_ONCE):
                h_BH = torch.from_numpy(h[start : start + NODES_AT_ONCE]).to(embeddings.device)
                predicted.append(self.target.predicted(model.head, h_BH))
        label = read_rows(stored(self.store), "label", held_out)
        return self.target.score(np.concatenate(predicted), label)
