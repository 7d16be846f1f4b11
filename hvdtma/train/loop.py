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
from hvdtma.errors import TrainerError, UserError
from hvdtma.graph.store import GraphStore
from hvdtma.partition.deal import deal
from hvdtma.shard.reader import BlockReader
from hvdtma.shard.resident import HandCount, ResidentSets
from hvdtma.shard.shard import Shard, load_shard
from hvdtma.tasks import ENDLESS, Batch, Model, Task
from hvdtma.train.memory import resident_sets


@dataclass
class Trainer:
    """One trainer: its model, its optimiser, and the shard it was dealt.

    Attributes:
        hand: the blocks dealt to it, int64.
        dealt: how much that is, as far as its sets were read.
        sets: its shard, in as many resident sets as `memory_gb` asks for.
        shard: the resident set that it trains on now; mostly all there is.
        batches: of it; None if it has nothing to train on.
    """

    config: TrainConfig
    store: GraphStore
    task: Task
    model: Model
    optimizer: torch.optim.Optimizer
    rank: int
    size: int
    device: torch.device
    reader: BlockReader = field(init=False)
    wait_for_data_s: float = 0.0
    deal: int = field(init=False)
    hand: np.ndarray = field(init=False)
    dealt: HandCount = field(init=False)
    sets: ResidentSets | None = None
    shard: Shard = field(init=False)
    batches: Iterator[Batch] | None = field(init=False)

    def __post_init__(self) -> None:
        self.reader = BlockReader(self.store)

    def take_deal(self, number: int) -> None:
        """Read the shard of a deal, or its first resident set, and begin its batches.

        Raises UserError if there are more trainers than blocks, memory for less than two blocks,
        or a block that cannot be read.
        """
        if self.sets is not None:
            self.sets.close()
        self.deal = number
        self.hand = deal(self.store, self.size, seed=self.config.seed, number=number)[self.rank]
        num_sets = resident_sets(self.config, self.store, self.hand)
        self.dealt = HandCount(int(np.diff(self.store.block_offsets)[self.hand].sum()))
        self.sets = ResidentSets(self.hand, num_sets, self._load, self._stream)
        self.take_set()

    def take_set(self) -> None:
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
                self.batches = self.task.batches(self.shard, stream=stream, epochs=epochs)
                return

    def let_go(self) -> None:
        """Free the shard's memory: nothing is trained on any more."""
        assert self.sets is not None
        self.sets.close()
        self.sets = None  # what was read ahead, too
        self.shard = self.batches = None  # type: ignore[assignment]

    @property
    def _stream(self) -> list[int]:
        return [self.config.seed, self.deal, self.rank]

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
                averaging.weight = hand_weight(trainer)
                announce_deal(trainer, averaging, watch, number)
        while not (averaging.due and averaging.round.steps):  # a step at least, however late
            if trainer.batches is None:
                with averaging.paused():
                    averaging.sit_out()
                break
            step = trainer.take_step()
            if step is None:
                with averaging.paused():
                    _take_set(trainer)
                averaging.weight = hand_weight(trainer)  # known better
                continue
            averaging.stepped(*step)
            watch.step(averaging)
        outcome = averaging.aggregate()
        with averaging.paused():
            if watch.round(outcome):
                averaging.stop()


def _take_set(trainer: Trainer) -> None:
    """The next resident set; the others train on, and know nothing of what may go wrong here."""
    try:
        trainer.take_set()
    except UserError as error:
        raise TrainerError(f"trainer {trainer.rank}: {error}") from error


def announce_deal(trainer: Trainer, averaging: TimedAveraging, watch: Watch, number: int) -> None:
    """Tell the watch what every trainer was dealt; a collective call.

    Edges and positives are estimated from the first resident set, where there are several.
    """
    assert trainer.sets is not None
    dealt = trainer.dealt.size
    hand = {
        "blocks": len(trainer.hand),
        "sets": trainer.sets.num_sets,
        "nodes": dealt.num_nodes,
        "edges": dealt.num_edges,
        "positives": trainer.task.num_examples(dealt),
        "resident_edges": trainer.shard.num_edges,
    }
    watch.deal(averaging, number, averaging.comm.gather(hand))


def hand_weight(trainer: Trainer) -> float:
    """This trainer's weight in the mean: the examples dealt to it, or 1; 0 if it has none.

    It does not depend on memory: all resident sets count, whichever is trained on now.
    """
    examples = trainer.task.num_examples(trainer.dealt.size)
    return float(examples if trainer.config.aggregate.weights == "edges" else examples > 0)
