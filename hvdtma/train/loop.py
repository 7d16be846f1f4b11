"""The timed loop: the page that the rest serves."""

from __future__ import annotations

from functools import partial

from hvdtma.aggregate import Aggregation, TimedAveraging
from hvdtma.comm.communicator import NewcomersWait, everywhere
from hvdtma.core.errors import TrainerError, UserError
from hvdtma.train.trainer import Trainer, hand_weight


class Watch:
    """What is told how training goes. This one does not care; trainer 0's is the recorder."""

    def deal(self, averaging: TimedAveraging, number: int, hands: list[dict]) -> None:
        """A deal was taken; what each trainer has of it."""

    def step(self, averaging: TimedAveraging) -> None:
        """An optimiser step was taken."""

    def rest(self) -> None:
        """No step for a while: the trainer reads, or waits for the others."""

    def round(self, outcome: Aggregation) -> bool:
        """An aggregation was made; whether to stop early."""
        return False


def train_rounds(trainer: Trainer, averaging: TimedAveraging, watch: Watch) -> None:
    """Train until the averaging says stop (docs/method.md).

    Raises MembersChange if the trainers must regroup; what was done in the round is kept.
    """
    while averaging.running:
        if deal_due(trainer, averaging.rounds_done):
            with averaging.paused():
                redeal(trainer, averaging, watch)
        while not (averaging.due and averaging.round.steps):  # a step at least, however late
            if trainer.batches is None:
                with averaging.paused():
                    averaging.sit_out()
                break
            step = trainer.take_step()
            if step is None:
                watch.rest()
                with averaging.paused():
                    _take_set(trainer)
                averaging.weight = hand_weight(trainer)  # known better
                continue
            averaging.stepped(*step)
            watch.step(averaging)
        watch.rest()
        outcome = averaging.aggregate()
        if outcome is None:
            return
        with averaging.paused():
            if watch.round(outcome):
                averaging.stop()
        if averaging.newcomers and averaging.running:
            raise NewcomersWait


def deal_due(trainer: Trainer, rounds_done: int) -> bool:
    """Whether to deal anew: by `redeal_rounds`, or because trainers came or went."""
    if trainer.move is not None:
        return rounds_done >= trainer.move.round
    every = trainer.config.redeal_rounds if trainer.seats > 1 else 0  # one is dealt all there is
    return bool(every) and rounds_done > trainer.dealt_at and rounds_done % every == 0


def redeal(trainer: Trainer, averaging: TimedAveraging, watch: Watch) -> None:
    """Take the next deal; a collective call."""
    trainer.dealing = True
    everywhere(averaging.comm, partial(trainer.take_next_deal, averaging.rounds_done))
    averaging.weight = hand_weight(trainer)
    announce_deal(trainer, averaging, watch)


def _take_set(trainer: Trainer) -> None:
    """The next resident set; the others train on, and know nothing of what may go wrong here."""
    try:
        trainer.take_set()
    except UserError as error:
        raise TrainerError(f"trainer {trainer.seat}: {error}") from error


def announce_deal(trainer: Trainer, averaging: TimedAveraging, watch: Watch) -> None:
    """Tell the watch what every trainer was dealt; a collective call.

    Edges and positives are estimated from the first resident set, where there are several.
    """
    trainer.dealing = True
    dealt = trainer.dealt.size
    hand = {
        "blocks": len(trainer.hand),
        "sets": trainer.sets.num_sets if trainer.sets else 0,
        "nodes": dealt.num_nodes,
        "edges": dealt.num_edges,
        "positives": trainer.task.num_examples(dealt),
        "resident_edges": trainer.shard.num_edges,
    }
    hands = averaging.comm.gather(hand)
    trainer.dealing = False
    watch.deal(averaging, trainer.deal, hands)
