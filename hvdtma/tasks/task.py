"""What the loop and the evaluator ask of a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import nn

from hvdtma.core.train_config import TrainConfig
from hvdtma.models.encoder import Encoder
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS


class Batch(Protocol):
    """One step's data; `size` positives or nodes."""

    @property
    def size(self) -> int: ...

    def to(self, device: torch.device) -> Batch: ...


class Model(nn.Module):
    """An encoder and the head that its task puts on it."""

    def __init__(self, encoder: Encoder, head: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.head = head


class Holding(Protocol):
    """How much there is to train on: of a `Shard`, or of an assigned part (`ShardSize`)."""

    @property
    def num_edges(self) -> int: ...
    @property
    def num_train_nodes(self) -> int: ...


class Task(Protocol):
    """A learning task on one store."""

    needs_remote: bool
    """Whether its batches use nodes of other trainers."""
    needs_labels: bool
    """Whether its batches use labels."""

    def make_head(self, dim: int) -> nn.Module:
        """The decoder or classifier on embeddings of width `dim`."""
        ...

    def num_examples(self, held: Holding) -> int:
        """What a shard or a hand has to train on: links or nodes."""
        ...

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[Batch]:
        """Batches of one epoch after the other, from `first_step` on.

        A pure function of the shard and `stream`, whatever the first step.
        """
        ...

    def loss(self, model: Model, batch: Any) -> torch.Tensor:
        """A scalar; the batch is one of this task's own."""
        ...


def sampled_fanouts(config: TrainConfig) -> list[int]:
    """Fanouts of the hops that are sampled: none for an MLP, one fewer with a first hop."""
    if config.model.encoder == "mlp":
        return []
    return config.model.fanout_per_layer[int(config.first_hop) :]
