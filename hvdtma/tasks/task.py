"""The contract of a task: batches, loss, and how held-out links or nodes are scored.

Legend: S seeds, Q held-out items, H width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS

Made = TypeVar("Made")


class Batch(Protocol):
    """The data of one step; `size` counts its links or nodes."""

    @property
    def size(self) -> int: ...

    def to(self, device: torch.device) -> Batch: ...


class Model(nn.Module):
    """An encoder and the head that the task puts on it.

    Attributes:
        first_hop: whether the encoder is given the stored first hop.
        num_blocks: blocks that the encoder takes: sampled layers.
    """

    def __init__(self, encoder: Any, head: nn.Module, *, first_hop: bool, num_blocks: int):
        super().__init__()
        self.encoder, self.head = encoder, head
        self.first_hop, self.num_blocks = first_hop, num_blocks


class TrainingSize(Protocol):
    """The size of a part of the graph: a `Shard`, or what is known of one (`ShardSize`)."""

    @property
    def num_edges(self) -> int: ...
    @property
    def num_train_nodes(self) -> int: ...


class Embeddings(Protocol):
    """Embeddings of nodes, for scoring.

    Attributes:
        max_nodes: number of distinct nodes that may be asked for at once; None: any.
        device: where the model is.
    """

    max_nodes: int | None
    device: torch.device

    def __call__(self, nodes: np.ndarray) -> np.ndarray:
        """float32 [..., H] of nodes int64 [...]."""
        ...

    def in_pieces(self, number: int, step: int, make: Callable[[slice], Made]) -> Iterator[Made]:
        """Call `make` for consecutive ranges of at most `step` of `number` items.

        Ranges are made shorter where the neighbourhoods of their nodes do not fit in memory.
        """
        ...


class Task(Protocol):
    """A learning task on one store.

    The class is called with the config, the store (or the sizes of one that is only planned) and
    the user's `task.options`; it raises UserError if the store lacks something that it needs.

    Attributes:
        metrics: of the class; names of the metrics, of which the first chooses the best round.
        unit: of the class; the word for what is held out, such as "links".
        needs_remote: whether batches use the features of nodes of other trainers.
        needs_labels: whether batches use labels.
        seeds_per_step: the most nodes whose embeddings a step computes.
        nodes_per_item: the most nodes whose embeddings one held-out item needs.
    """

    metrics: ClassVar[Sequence[str]]
    unit: ClassVar[str]
    needs_remote: bool
    needs_labels: bool
    seeds_per_step: int
    nodes_per_item: int

    def make_head(self, dim: int) -> nn.Module:
        """The decoder or classifier on embeddings of width `dim`."""
        ...

    def num_examples(self, size: TrainingSize) -> int:
        """Links or nodes to train on."""
        ...

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[Batch]:
        """Batches of one epoch after the other, from step `first_step` on.

        A pure function of the shard and `stream`, whatever the first step.
        """
        ...

    def loss(self, model: Model, batch: Any) -> torch.Tensor:
        """A scalar; the batch is one of this task's own."""
        ...

    def num_held_out(self, part: str) -> int:
        """Held-out items of `valid` or `test`; 0 without such a split."""
        ...

    def max_scored(self, part: str) -> int:
        """The most held-out items that are scored; 0: all."""
        ...

    def held_out_bytes(self) -> int:
        """Bytes of all held-out items that are scored, both parts together."""
        ...

    def read_held_out(self, part: str, chosen: np.ndarray | None) -> Any:
        """Held-out items by number (int64 ascending; None: all), in the task's own form."""
        ...

    def score(self, model: Model, held_out: Any, embeddings: Embeddings) -> dict[str, float]:
        """Every metric, of the model in eval mode and without gradients."""
        ...


def check_task(name: str, target: Any) -> None:
    """Raises UserError if a class is no task."""
    wanted = ("make_head", "batches", "loss", "read_held_out", "score")
    missing = [method for method in wanted if not callable(getattr(target, method, None))]
    if missing:
        raise UserError(f"{name} is no task: it has no `{missing[0]}` (docs/extending.md)")
    if not getattr(target, "metrics", None):
        raise UserError(f"{name} is no task: its class attribute `metrics` names no metric")


def max_of_sample(config: TrainConfig, limit: int = 0) -> int:
    """The smaller of `evaluate.sample` and `limit`, of those that are not 0; 0: no limit."""
    return min(filter(None, (config.evaluate.sample, limit)), default=0)
