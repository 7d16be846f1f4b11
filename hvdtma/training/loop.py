"""The timed loop: the page that the rest serves."""

from __future__ import annotations

from functools import partial

from hvdtma.aggregate import TimedAveraging
from hvdtma.comm.communicator import NewcomersWaiting, run_on_all
from hvdtma.core.errors import TrainerError, UserError
from hvdtma.training.callback import Callback
from hvdtma.training.trainer import Trainer, trainer_weight


def train_rounds(trainer: Trainer, averaging: TimedAveraging, callback: Callback) -> None:
    """Train until the averaging says stop (docs/method.md).

    Raises RegroupNeeded if the trainers must regroup; what was done in the round is kept.
    """
    while averaging.running:
        if reassignment_due(trainer, averaging.rounds_done):
            with averaging.paused():
                reassign(trainer, averaging, callback)
        while not (averaging.due and averaging.round.steps):  # a step at least, however late
            if trainer.batches is None:
                with averaging.paused():
                    averaging.skip_round()
                break
            step = trainer.take_step()
            if step is None:
                callback.on_pause()
                with averaging.paused():
                    _take_set(trainer)
                averaging.weight = trainer_weight(trainer)  # known better
                continue
            averaging.record_step(*step)
            callback.on_step(averaging)
        callback.on_pause()
        outcome = averaging.aggregate()
        if outcome is None:
            return
        with averaging.paused():
            if callback.on_round(outcome):
                averaging.stop()
        if averaging.newcomers and averaging.running:
            raise NewcomersWaiting


def reassignment_due(trainer: Trainer, rounds_done: int) -> bool:
    """Whether to reassign: by `reassign_rounds`, or because trainers came or went."""
    if trainer.next_shard is not None:
        return rounds_done >= trainer.next_shard.round
    every = (
        trainer.config.reassign_rounds if trainer.num_shards > 1 else 0
    )  # one is assigned all there is
    return bool(every) and rounds_done > trainer.assigned_at and rounds_done % every == 0


def reassign(trainer: Trainer, averaging: TimedAveraging, callback: Callback) -> None:
    """Take the next assignment; a collective call."""
    trainer.reassigning_now = True
    run_on_all(averaging.comm, partial(trainer.take_next_assignment, averaging.rounds_done))
    averaging.weight = trainer_weight(trainer)
    announce_assignment(trainer, averaging, callback)


def _take_set(trainer: Trainer) -> None:
    """The next resident set; the others train on, and know nothing of what may go wrong here."""
    try:
        trainer.take_set()
    except UserError as error:
        raise TrainerError(f"trainer {trainer.shard_index}: {error}") from error


def announce_assignment(trainer: Trainer, averaging: TimedAveraging, callback: Callback) -> None:
    """Tell the watch what every trainer was assigned; a collective call.

    Edges and positives are estimated from the first resident set, where there are several.
    """
    trainer.reassigning_now = True
    assigned = trainer.assigned.size
    share = {
        "blocks": len(trainer.blocks),
        "sets": trainer.sets.num_sets if trainer.sets else 0,
        "nodes": assigned.num_nodes,
        "edges": assigned.num_edges,
        "positives": trainer.task.num_examples(assigned),
        "resident_edges": trainer.shard.num_edges,
    }
    trainers = averaging.comm.all_gather_object(share)
    trainer.reassigning_now = False
    callback.on_assignment(averaging, trainer.assignment, trainers)
