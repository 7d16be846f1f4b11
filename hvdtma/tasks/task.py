"""The contract of a task, which owns batches, loss, metrics and scoring.

Legend: H width of the embeddings, n pairs or nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import nn

from hvdtma.core.contract import Call, check_methods, not_a
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.source import Pairs
from hvdtma.runs.best_metric import BestMetric
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.epochs import ENDLESS

Result = TypeVar("Result")

CALLS = {
    "make_head": Call(("dim",)),
    "num_examples": Call(("size",)),
    "batches": Call(("shard",), ("stream",), ("epochs", "first_step")),
    "loss": Call(("model", "batch")),
    "num_held_out": Call(("part",)),
    "max_scored": Call(("part",)),
    "held_out_bytes": Call(),
    "read_held_out": Call(("part", "chosen")),
    "score": Call(("model", "held_out", "embeddings")),
}
# Methods that a task may have, for what its models can be asked.
ASKED = {
    "score_pairs": Call(("model", "pairs", "embeddings")),
    "predict_nodes": Call(("model", "nodes", "embeddings")),
}


class Batch(Protocol):
    """The data of one step. `size` is its number of links or nodes."""

    @property
    def size(self) -> int: ...

    def to(self, device: torch.device) -> Batch: ...


class Model(nn.Module):
    """An encoder and the task's head: a decoder or classifier.

    Attributes:
        first_hop: whether the encoder gets the stored first hop.
        num_blocks: number of blocks that the encoder gets, one per sampled layer.
    """

    def __init__(self, encoder: Any, head: nn.Module, *, first_hop: bool, num_blocks: int):
        super().__init__()
        self.encoder, self.head = encoder, head
        self.first_hop, self.num_blocks = first_hop, num_blocks


class TrainingSize(Protocol):
    """The size of a `Shard`, or an estimate of it (`ShardSize`)."""

    @property
    def num_edges(self) -> int: ...
    @property
    def num_train_nodes(self) -> int: ...


class Embeddings(Protocol):
    """Embeddings of nodes, for `Task.score`.

    Attributes:
        max_nodes: largest number of distinct nodes per call; None: no limit.
        device: device of the model.
    """

    max_nodes: int | None
    device: torch.device

    def __call__(self, nodes: np.ndarray) -> np.ndarray:
        """Embeddings float32 [..., H] of nodes int64 [...]."""
        ...

    def mapped(
        self, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """Apply a function of embeddings [n, H] to all nodes; its rows [..., F] by node.

        None if they do not fit in memory, or if nodes are embedded on demand.
        """
        ...

    def in_pieces(
        self, number: int, step: int, make: Callable[[slice], Result]
    ) -> Iterator[Result]:
        """Call `make` for consecutive ranges of `number` items; yield its results.

        A range has at most `step` items, and fewer if their neighbourhoods do not fit in memory.
        """
        ...


class Task(Protocol):
    """A learning task on one store.

    A task may also have the method of `ScoresPairs` or of `PredictsNodes`, for what its trained
    models can be asked.

    The class is called with the config, the store (`hvdtma plan` passes sizes only) and the user's
    `task.options`. It raises UserError if the store lacks something that the task needs.

    Attributes:
        metrics: class attribute; names of the metrics. The first one chooses the best round. An
            instance may have fewer, those that fit its store.
        least_is_best: the metrics whose lowest value is the best; optional.
        chance: method without arguments, optional; the metrics of a model that has learned
            nothing, as far as they are known.
        unit: class attribute; the plural name of held-out items, such as "links".
        own_values: class attribute, optional; what the config's `sampler.name`, `task.batch_size`
            and `optimizer.lr` are if they are not given: `sampler`, `batch_size`, `lr`.
        needs_remote: whether batches use features of other trainers' nodes.
        needs_labels: whether batches use labels.
        seeds_per_step: the largest number of nodes that a step embeds.
        nodes_per_item: the largest number of nodes that must be embedded to score one item.
    """

    metrics: Sequence[str]
    least_is_best: Sequence[str]
    unit: ClassVar[str]
    needs_remote: bool
    needs_labels: bool
    seeds_per_step: int
    nodes_per_item: int

    def loss_bytes(self, dim: int) -> int:
        """Bytes of the loss of a batch, beside the embeddings of width `dim`; optional (0)."""
        ...

    def make_head(self, dim: int) -> nn.Module:
        """Make the decoder or classifier for embeddings of width `dim`."""
        ...

    def num_examples(self, size: TrainingSize) -> int:
        """Number of links or nodes to train on."""
        ...

    def batches(
        self, shard: Shard, *, stream: list[int], epochs: int = ENDLESS, first_step: int = 0
    ) -> Iterator[Batch]:
        """Batches of `epochs` epochs, from step `first_step` on.

        A pure function of the arguments: batch k is the same for every `first_step`.

        Args:
            stream: non-negative integers that seed shuffling, negatives and sampling.
        """
        ...

    def loss(self, model: Model, batch: Any) -> torch.Tensor:
        """The loss of one of this task's batches, a scalar."""
        ...

    def num_held_out(self, part: str) -> int:
        """Number of held-out items of the part `valid` or `test`; 0 if there is no such part."""
        ...

    def max_scored(self, part: str) -> int:
        """The largest number of held-out items to score; 0: all."""
        ...

    def held_out_bytes(self) -> int:
        """Bytes of the held-out items to score, both parts together."""
        ...

    def read_held_out(self, part: str, chosen: np.ndarray | None) -> Any:
        """The held-out items with the given numbers (int64 ascending; None: all), in any form."""
        ...

    def score(self, model: Model, held_out: Any, embeddings: Embeddings) -> dict[str, float]:
        """Every metric of a model, which is in eval mode. Gradients are off."""
        ...


@runtime_checkable
class ScoresPairs(Protocol):
    """A task whose models score pairs of nodes: `hvdtma predict --pairs`, `hvdtma recommend`."""

    def score_pairs(self, model: Model, pairs: Pairs, embeddings: Embeddings) -> np.ndarray:
        """Scores float32 [n]; likely links have higher ones. The model is in eval mode."""
        ...


@runtime_checkable
class PredictsNodes(Protocol):
    """A task whose models predict something of nodes: `hvdtma predict --nodes`."""

    def predict_nodes(
        self, model: Model, nodes: np.ndarray, embeddings: Embeddings
    ) -> dict[str, np.ndarray]:
        """Columns [n] of numbers or text by name, for nodes int64 [n].

        The model is in eval mode. No column is called `id`.
        """
        ...


def scores_pairs(task: Task, name: str) -> ScoresPairs:
    """The task, if it scores pairs; raises UserError if it does not."""
    if isinstance(task, ScoresPairs):
        return task
    raise UserError(
        f"the task '{name}' scores no pairs of nodes: it has no `score_pairs`; "
        f"{_asked_instead(task)}"
    )


def predicts_nodes(task: Task, name: str) -> PredictsNodes:
    """The task, if it predicts something of nodes; raises UserError if it does not."""
    if isinstance(task, PredictsNodes):
        return task
    raise UserError(
        f"the task '{name}' predicts nothing of single nodes: it has no `predict_nodes`; "
        f"{_asked_instead(task)}"
    )


def _asked_instead(task: Task) -> str:
    if isinstance(task, PredictsNodes):
        return "its models predict labels of nodes: --nodes"
    if isinstance(task, ScoresPairs):
        return "its models score pairs of nodes: --pairs, or hvdtma recommend"
    return "its models can be evaluated and embed nodes"


def check_task(name: str, target: Any) -> None:
    """Raises UserError if a class is not a task."""
    check_methods("task", name, target, CALLS)
    there = {method: call for method, call in ASKED.items() if hasattr(target, method)}
    check_methods("task", name, target, there)
    if not getattr(target, "metrics", None):
        raise not_a("task", name, "its class attribute `metrics` names no metric")
    if not isinstance(getattr(target, "unit", None), str):
        raise not_a("task", name, "its class attribute `unit` does not name the held-out items")


def check_task_attributes(name: str, task: Any) -> None:
    """Raises UserError if an object of a task class lacks an attribute."""
    for attribute in ("needs_remote", "needs_labels", "seeds_per_step", "nodes_per_item"):
        if not hasattr(task, attribute):
            raise not_a("task", name, f"its __init__ sets no attribute `{attribute}`")


def best_metric(config: TrainConfig, task: Task) -> BestMetric:
    """The metric that chooses the best round."""
    return BestMetric.of_run(metric_facts(config, task))


def metric_facts(config: TrainConfig, task: Task) -> dict[str, Any]:
    """The metric that chooses the best round, those whose lowest value is the best, and chance."""
    return {
        "metric": config.evaluate.metric or task.metrics[0],
        "least_is_best": list(getattr(task, "least_is_best", ())),  # a task may not say
        "chance": getattr(task, "chance", dict)(),
    }


def max_of_sample(config: TrainConfig, limit: int = 0) -> int:
    """The smaller of `evaluate.sample` and `limit`, where 0 means no limit."""
    return min(filter(None, (config.evaluate.sample, limit)), default=0)
