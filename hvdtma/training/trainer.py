"""One trainer: its model, its shard, its progress in the shard, and the optimizer step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch.profiler import record_function

from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.store import GraphStore
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.sampling.prefetch import copy_stream, moved_ahead
from hvdtma.sampling.reader import BlockReader
from hvdtma.sampling.resident import ResidentSets, ShardCounter, ShardSize
from hvdtma.sampling.shard import Shard
from hvdtma.sampling.typed_shard import load_any_shard
from hvdtma.tasks import ENDLESS, Batch, Model, Task
from hvdtma.training.budget import resident_sets


class ShardProgress(NamedTuple):
    """A trainer's progress in its shard.

    Attributes:
        taken: number of resident sets taken.
        steps: steps on the last one of them.
        examples: examples of these steps.
        counted: size of the sets so far (`ShardCounter.counted`).
    """

    taken: int = 0
    steps: int = 0
    examples: int = 0
    counted: ShardSize | None = None


class NextShard(NamedTuple):
    """The shard to take at the next reassignment, which is due once `round` rounds are done."""

    shard_index: int
    num_shards: int
    round: int


@dataclass
class Trainer:
    """One trainer: its model, its optimizer and its shard.

    Attributes:
        shard_index, num_shards: its shard in an assignment. They equal rank and size unless
            trainers were lost or joined.
        reader: reads its shard, and counts bytes and seconds.
        copying: stream on which batches are copied to its GPU; None without a GPU.
        wait_for_data_s: seconds that it waited for batches and resident sets.
        assignment: number of the assignment, from 0.
        blocks: the blocks assigned to it, int64.
        assigned: counts nodes and edges of its whole shard while resident sets are read.
        sets: its shard, cut into as many resident sets as `memory_gb` requires.
        shard: the resident set that it trains on; the whole shard if it fits in memory.
        batches: batches of `shard`; None if it has no examples.
        steps_of_set, examples_of_set: steps taken on `shard`, and their examples.
        most_examples: examples after which the next resident set is taken.
        assigned_at: number of rounds that were done at the assignment.
        reassigning: whether a reassignment is in progress, which others may not have completed.
        next_shard: the shard to take at the next reassignment, if trainers were lost or joined.
    """

    config: TrainConfig
    store: GraphStore
    task: Task
    model: Model
    optimizer: torch.optim.Optimizer
    shard_index: int
    num_shards: int
    device: torch.device
    reader: BlockReader = field(init=False)
    copying: torch.cuda.Stream | None = field(init=False)
    wait_for_data_s: float = 0.0
    assignment: int = 0
    blocks: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    assigned: ShardCounter = field(default_factory=lambda: ShardCounter(0))
    sets: ResidentSets | None = None
    shard: Shard = field(init=False)
    batches: Iterator[Batch] | None = None
    steps_of_set: int = 0
    examples_of_set: int = 0
    most_examples: float = math.inf
    assigned_at: int = 0
    reassigning: bool = False
    next_shard: NextShard | None = None

    def __post_init__(self) -> None:
        self.reader = BlockReader(self.store)
        self.copying = copy_stream(self.device)

    def take_assignment(self, number: int, *, shard_progress: ShardProgress | None = None) -> None:
        """Read the shard of an assignment, or its first resident set, and start its batches.

        Args:
            number: number of the assignment.
            shard_progress: progress to resume from, if the trainer had this shard before.

        Raises UserError if there are more trainers than blocks, if two blocks do not fit in
        memory, or if a block cannot be read.
        """
        if self.sets is not None:
            self.sets.close()
        self.assignment = number
        self.blocks = assign_blocks(
            self.store, self.num_shards, seed=self.config.seed, number=number
        )[self.shard_index]
        block_nodes = np.diff(self.store.block_offsets)[self.blocks]
        num_sets = resident_sets(self.config, self.store, block_nodes)
        self.assigned = ShardCounter(int(block_nodes.sum()))
        shard_progress = shard_progress or ShardProgress()
        taken = max(shard_progress.taken - 1, 0)
        self.sets = ResidentSets(self.blocks, num_sets, self._load, self._stream, taken)
        self.take_set(first_step=shard_progress.steps, examples=shard_progress.examples)
        if shard_progress.counted:
            self.assigned.counted = shard_progress.counted

    def take_next_assignment(self, rounds_done: int) -> None:
        """Take the next assignment, with the shard `next_shard` if it is set."""
        if self.next_shard is not None:
            self.shard_index, self.num_shards, _ = self.next_shard
        self.next_shard, self.assigned_at = None, rounds_done
        self.take_assignment(self.assignment + 1)

    def take_set(self, *, first_step: int = 0, examples: int = 0) -> None:
        """Take the next resident set with examples.

        Args:
            first_step, examples: steps that were taken on it before, and their examples.

        Raises UserError if a block cannot be read.
        """
        assert self.sets is not None
        several = self.sets.num_sets > 1
        for _ in range(self.sets.num_sets):
            self.shard = self.batches = None  # type: ignore[assignment] # frees its memory
            self.shard, waited_s = self.sets.take()
            self.wait_for_data_s += waited_s
            self.assigned.add(self.shard)
            if num_examples := self.task.num_examples(self.shard):
                stream = self._stream + ([self.sets.taken] if several else [])
                batches = self.task.batches(
                    self.shard, stream=stream, epochs=ENDLESS, first_step=first_step
                )
                self.batches = moved_ahead(batches, self.device, self.copying)
                self.steps_of_set, self.examples_of_set = first_step, examples
                # Samplers that group nodes have no epochs of links, so examples are counted.
                most = self.config.resident_epochs * num_examples
                self.most_examples = most if several else math.inf
                return

    @property
    def shard_progress(self) -> ShardProgress:
        """The progress in the shard, for a checkpoint."""
        taken = self.sets.taken if self.sets else 0
        return ShardProgress(taken, self.steps_of_set, self.examples_of_set, self.assigned.counted)

    def release_shard(self) -> None:
        """Free the shard's memory, at the end of training."""
        if self.sets is not None:
            self.sets.close()
        self.sets = None  # frees the set that was read ahead
        self.shard = self.batches = None  # type: ignore[assignment]

    @property
    def _stream(self) -> list[int]:
        return [self.config.seed, self.assignment, self.shard_index]

    def _load(self, blocks: np.ndarray) -> Shard:
        return load_any_shard(
            self.reader,
            blocks,
            assigned=self.blocks,
            first_hop=self.config.first_hop,
            labels=self.task.needs_labels,
            remote=self.task.needs_remote,
        )

    def take_step(self) -> tuple[torch.Tensor, int] | None:
        """Take an optimizer step on a batch; return loss and batch size.

        None: each example of the resident set was used `resident_epochs` times, on average.
        """
        assert self.batches is not None
        if self.examples_of_set >= self.most_examples:
            return None
        started = time.monotonic()
        with record_function("batch"):  # a name in the trace of `profile`
            batch = next(self.batches, None)
        if batch is None:
            return None
        self.wait_for_data_s += time.monotonic() - started
        bfloat16 = self.config.precision == "bfloat16" and self.device.type != "cpu"
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16)
        with record_function("loss"), autocast:
            loss = self.task.loss(self.model, batch)
        self.optimizer.zero_grad()
        with record_function("backward"):
            loss.backward()
        if self.config.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()
        self.steps_of_set += 1
        self.examples_of_set += batch.size
        return loss, batch.size


def trainer_weight(trainer: Trainer) -> float:
    """This trainer's weight in the mean: the examples of its whole shard, or 1; 0 without examples.

    The weight does not depend on the memory limit, because all resident sets count.
    """
    examples = trainer.task.num_examples(trainer.assigned.size)
    return float(examples if trainer.config.aggregate.weights == "edges" else examples > 0)
