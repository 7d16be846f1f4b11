"""One trainer: what it was dealt, where it stands in it, and a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.store import GraphStore
from hvdtma.partition.assignment import deal
from hvdtma.sampling.reader import BlockReader
from hvdtma.sampling.resident import HandCount, HandSize, ResidentSets
from hvdtma.sampling.shard import Shard, load_shard
from hvdtma.tasks import ENDLESS, Batch, Model, Task
from hvdtma.train.memory import resident_sets


class SetPlace(NamedTuple):
    """How far a trainer came in its hand: sets taken, steps on the last one, what it counted."""

    taken: int = 0
    steps: int = 0
    counted: HandSize | None = None


class Move(NamedTuple):
    """To seat `seat` of `seats`, once `round` rounds are done."""

    seat: int
    seats: int
    round: int


@dataclass
class Trainer:
    """One trainer: its model, its optimiser, and the shard it was dealt.

    Attributes:
        seat, seats: which of how many hands of a deal is its own; mostly its rank, and all ranks.
        hand: the blocks dealt to it, int64.
        dealt: how much that is, as far as its sets were read.
        sets: its shard, in as many resident sets as `memory_gb` asks for.
        shard: the resident set that it trains on now; mostly all there is.
        batches: of it; None if it has nothing to train on.
        steps_of_set: taken on the present resident set.
        dealt_at: rounds done when it was dealt.
        dealing: whether a deal is under way: others may not have it.
        move: to another seat, if one is due.
    """

    config: TrainConfig
    store: GraphStore
    task: Task
    model: Model
    optimizer: torch.optim.Optimizer
    seat: int
    seats: int
    device: torch.device
    reader: BlockReader = field(init=False)
    wait_for_data_s: float = 0.0
    deal: int = 0
    hand: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    dealt: HandCount = field(default_factory=lambda: HandCount(0))
    sets: ResidentSets | None = None
    shard: Shard = field(init=False)
    batches: Iterator[Batch] | None = None
    steps_of_set: int = 0
    dealt_at: int = 0
    dealing: bool = False
    move: Move | None = None

    def __post_init__(self) -> None:
        self.reader = BlockReader(self.store)

    def take_deal(self, number: int, *, place: SetPlace | None = None) -> None:
        """Read the shard of a deal, or its first resident set, and begin its batches.

        Args:
            place: to begin at, if it was dealt this hand before.

        Raises UserError if there are more trainers than blocks, memory for less than two blocks,
        or a block that cannot be read.
        """
        if self.sets is not None:
            self.sets.close()
        self.deal = number
        self.hand = deal(self.store, self.seats, seed=self.config.seed, number=number)[self.seat]
        num_sets = resident_sets(self.config, self.store, self.hand)
        self.dealt = HandCount(int(np.diff(self.store.block_offsets)[self.hand].sum()))
        place = place or SetPlace()
        taken = max(place.taken - 1, 0)
        self.sets = ResidentSets(self.hand, num_sets, self._load, self._stream, taken)
        self.take_set(first_step=place.steps)
        if place.counted:
            self.dealt.counted = place.counted

    def take_next_deal(self, rounds_done: int) -> None:
        """Take the deal after this one, from the seat that it moves to if it does."""
        if self.move is not None:
            self.seat, self.seats, _ = self.move
        self.move, self.dealt_at = None, rounds_done
        self.take_deal(self.deal + 1)

    def take_set(self, *, first_step: int = 0) -> None:
        """Go on to the next resident set with anything to train on, which was read meanwhile.

        Raises UserError if a block of it cannot be read.
        """
        assert self.sets is not None
        several = self.sets.num_sets > 1
        for _ in range(self.sets.num_sets):
            self.shard = self.batches = None  # type: ignore[assignment] # else three in memory
            self.shard, waited_s = self.sets.take()
            self.wait_for_data_s += waited_s
            self.dealt.add(self.shard)
            if self.task.num_examples(self.shard):
                stream = self._stream + ([self.sets.taken] if several else [])
                epochs = self.config.resident_epochs if several else ENDLESS
                self.batches = self.task.batches(
                    self.shard, stream=stream, epochs=epochs, first_step=first_step
                )
                self.steps_of_set = first_step
                return

    @property
    def place(self) -> SetPlace:
        """Where it stands in its hand."""
        taken = self.sets.taken if self.sets else 0
        return SetPlace(taken, self.steps_of_set, self.dealt.counted)

    def let_go(self) -> None:
        """Free the shard's memory: nothing is trained on any more."""
        if self.sets is not None:
            self.sets.close()
        self.sets = None  # what was read ahead, too
        self.shard = self.batches = None  # type: ignore[assignment]

    @property
    def _stream(self) -> list[int]:
        return [self.config.seed, self.deal, self.seat]

    def _load(self, blocks: np.ndarray) -> Shard:
        return load_shard(
            self.reader,
            blocks,
            hand=self.hand,
            first_hop=self.config.first_hop,
            labels=self.task.needs_labels,
            foreign=self.task.needs_foreign,
        )

    def take_step(self) -> tuple[torch.Tensor, int] | None:
        """One batch, one optimiser step; its loss and its size. None: the set is used up."""
        assert self.batches is not None
        batch = next(self.batches, None)
        if batch is None:
            return None
        batch = batch.to(self.device)
        bfloat16 = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            loss = self.task.loss(self.model, batch)
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()
        self.steps_of_set += 1
        return loss, batch.size


def hand_weight(trainer: Trainer) -> float:
    """This trainer's weight in the mean: the examples dealt to it, or 1; 0 if it has none.

    It does not depend on memory: all resident sets count, whichever is trained on now.
    """
    examples = trainer.task.num_examples(trainer.dealt.size)
    return float(examples if trainer.config.aggregate.weights == "edges" else examples > 0)
