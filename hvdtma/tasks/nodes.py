"""Labels of nodes: classification, several labels per node, or regression.

The kind of the store's labels chooses loss, head and metrics (`hvdtma.tasks.target_kinds`).

Legend: B nodes of a batch, Q held-out nodes, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.stored_rows import read_rows, stored
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.neighbourhood import Neighbourhood
from hvdtma.sampling.prefetch import prefetched
from hvdtma.sampling.sampler import is_grouping, make_sampler
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
        label = self.label.to(device, non_blocking=True)
        return NodeBatch(self.neighbourhood.to(device), label)

    def pin_memory(self) -> NodeBatch:
        """The batch in page-locked memory, from which copies to a GPU need not wait."""
        return NodeBatch(self.neighbourhood.pin_memory(), self.label.pin_memory())


def labelled_nodes(
    train_nodes: np.ndarray, group: np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    """At most `most` training nodes of a group (int64, ascending), and at least two of the shard.

    Args:
        train_nodes: int64 training nodes of the shard, ascending.
    """
    found = np.intersect1d(group, train_nodes, assume_unique=True)
    if len(found) > most:
        return np.sort(rng.choice(found, most, replace=False))
    if len(found) < 2:  # batch norm needs two nodes
        found = np.union1d(found, rng.choice(train_nodes, min(2, len(train_nodes)), replace=False))
    return found


def _check_target(config: TrainConfig, store: GraphFacts) -> None:
    """Raise UserError if `task.target` is not the node type that has labels."""
    target, schema = config.task.target, store.schema
    if target is None:
        return
    if schema is None:
        raise UserError(
            f"task.target is {target}, but {store.path} has no node types; leave task.target out"
        )
    names = [target] if isinstance(target, str) else target
    for name in names:
        schema.node_type_number(name, "task.target")
    if names != [schema.label_type]:
        raise UserError(
            f"task.target is {', '.join(names)}, but {store.path} has labels of "
            f"'{schema.label_type}'"
        )


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
        _check_target(config, store)
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
        """Batches of labelled nodes, which are shuffled anew for each epoch.

        A sampler that groups nodes decides which labelled nodes are in a batch.
        """
        labels, size = shard.label, self.config.task.batch_size
        assert labels is not None  # checked by the constructor

        def shuffled(epoch: int) -> np.ndarray:
            return np.random.default_rng([*stream, 0, epoch]).permutation(shard.train_nodes)

        def make_batch(step: tuple[int, np.ndarray]) -> NodeBatch:
            number, chosen = step
            rng = np.random.default_rng([*stream, 1, number])
            sample: dict[str, Any] = {}
            if is_grouping(self.sampler):
                within, chosen = chosen, labelled_nodes(shard.train_nodes, chosen, size, rng)
                sample["within"] = np.union1d(within, chosen)
            nodes = torch.from_numpy(chosen)
            seed = int(rng.integers(1 << 31))
            neighbourhood = self.sampler.sample(shard, nodes, random_seed=seed, **sample)
            return NodeBatch(neighbourhood, labels[nodes])

        if is_grouping(self.sampler):
            groups = [*stream, 0]
            steps = self.sampler.groups(shard, stream=groups, epochs=epochs, first_step=first_step)
        else:
            steps = shuffled_batches(
                shuffled,
                shard.num_train_nodes,
                size,
                epochs=epochs,
                first_step=first_step,
                keep_single=False,  # batch norm needs two nodes
            )
        return prefetched(make_batch, steps, self.config)

    def loss(self, model: Model, batch: NodeBatch) -> torch.Tensor:
        """The loss of the kind of labels."""
        h_BH = batch.neighbourhood.embedded_by(model.encoder)
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

    def chance(self) -> dict[str, float]:
        return self.target.chance()

    @torch.no_grad()
    def score(self, model: Model, held_out: np.ndarray, embeddings: Embeddings) -> dict[str, float]:
        predicted = [
            self.target.predicted(model.head, h_BH) for h_BH in _embedded(held_out, embeddings)
        ]
        label = read_rows(stored(self.store), "label", held_out)
        return self.target.score(np.concatenate(predicted), label)

    @torch.no_grad()
    def predict_nodes(
        self, model: Model, nodes: np.ndarray, embeddings: Embeddings
    ) -> dict[str, np.ndarray]:
        """The columns of the kind of labels; see `hvdtma.tasks.task.PredictsNodes`."""
        pieces = [self.target.columns(model.head, h_BH) for h_BH in _embedded(nodes, embeddings)]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _embedded(nodes: np.ndarray, embeddings: Embeddings) -> Iterator[torch.Tensor]:
    """The embeddings of nodes, [B, H] at a time in their order."""
    step = embeddings.max_nodes or NODES_AT_ONCE
    for h in embeddings.in_pieces(len(nodes), step, lambda rows: embeddings(nodes[rows])):
        for start in range(0, len(h), NODES_AT_ONCE):
            yield torch.from_numpy(h[start : start + NODES_AT_ONCE]).to(embeddings.device)
