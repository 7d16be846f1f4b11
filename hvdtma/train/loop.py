"""The timed loop: the page that the rest serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from hvdtma.aggregate import Aggregation, TimedAveraging
from hvdtma.comm.communicator import everywhere
from hvdtma.config import TrainConfig
from hvdtma.graph.store import GraphStore
from hvdtma.partition.deal import deal
from hvdtma.shard.shard import Shard, load_shard
from hvdtma.tasks import Batch, Model, Task


@dataclass
class Trainer:
    """One trainer: its model, its optimiser, and the shard it was dealt.

    Attributes:
        hand: the blocks dealt to it, int64.
        shard: what it reads of them.
        batches: without end; None if the shard has nothing to train on.
    """

    config: TrainConfig
    store: GraphStore
    task: Task
    model: Model
    optimizer: torch.optim.Optimizer
    rank: int
    size: int
    device: torch.device
    hand: np.ndarray = field(init=False)
    shard: Shard = field(init=False)
    batches: Iterator[Batch] | None = field(init=False)

    def take_deal(self, number: int) -> None:
        """Read the shard of a deal and begin its batches.

        Raises UserError if there are more trainers than blocks, or a block of the shard cannot be
        read.
        """
        self.hand = deal(self.store, self.size, seed=self.config.seed, number=number)[self.rank]
        self.shard = self.batches = None  # type: ignore[assignment] # two would not fit in memory
        self.shard = load_shard(
            self.store,
            self.hand,
            first_hop=self.config.first_hop,
            foreign=self.task.needs_foreign,
        )
        stream = [self.config.seed, number, self.rank]
        examples = self.task.num_examples(self.shard)
        self.batches = self.task.batches(self.shard, stream=stream) if examples else None

    def take_step(self) -> tuple[torch.Tensor, int]:
        """One batch, one optimiser step; its loss and its size."""
        assert self.batches is not None
        batch = next(self.batches).to(self.device)
        bfloat16 = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            loss = self.task.loss(self.model, batch)
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()
        return loss, batch.size


class Watch:
    """What is told how training goes. This one does not care; trainer 0's is the recorder."""

    def deal(self, averaging: TimedAveraging, number: int, hands: list[dict]) -> None:
        """A deal was taken; what each trainer has of it."""

    def step(self, averaging: TimedAveraging) -> None:
        """An optimiser step was taken."""

    def round(self, outcome: Aggregation) -> bool:
        """An aggregation was made; whether to stop early."""
        return False


def train_rounds(trainer: Trainer, averaging: TimedAveraging, watch: Watch) -> None:
    """Train until the averaging says stop (docs/method.md)."""
    redeal = trainer.config.redeal_rounds if trainer.size > 1 else 0  # one is dealt all there is
    while averaging.running:
        if redeal and averaging.rounds_done and averaging.rounds_done % redeal == 0:
            with averaging.paused():
                number = averaging.rounds_done // redeal
                everywhere(averaging.comm, partial(trainer.take_deal, number))
                averaging.weight = shard_weight(trainer)
                announce_deal(trainer, averaging, watch, number)
        while not (averaging.due and averaging.round.steps):  # a step at least, however late
            if trainer.batches is None:
                with averaging.paused():
                    averaging.sit_out()
                break
            loss, size = trainer.take_step()
            averaging.stepped(loss, size)
            watch.step(averaging)
        outcome = averaging.aggregate()
        with averaging.paused():
            if watch.round(outcome):
                averaging.stop()


def announce_deal(trainer: Trainer, averaging: TimedAveraging, watch: Watch, number: int) -> None:
    """Tell the watch what every trainer was dealt; a collective call."""
    hand = {
        "blocks": len(trainer.hand),
        "nodes": trainer.shard.num_own,
        "edges": trainer.shard.csc.num_edges,
        "positives": trainer.task.num_examples(trainer.shard),
    }
    watch.deal(averaging, number, averaging.comm.gather(hand))


def shard_weight(trainer: Trainer) -> float:
    """This trainer's weight in the mean: its examples, or 1; 0 if it has none."""
    examples = trainer.task.num_examples(trainer.shard)
    return float(examples if trainer.config.aggregate.weights == "edges" else examples > 0)
