"""The timed loop, as in docs/method.md. Start reading here."""

from __future__ import annotations

from functools import partial

from hvdtma.aggregate import TimedAveraging
from hvdtma.comm.communicator import NewcomersWaiting, run_on_all
from hvdtma.core.errors import TrainerError, UserError
from hvdtma.training.callback import Callback
from hvdtma.training.learning_rate import set_learning_rate
from hvdtma.training.trainer import Trainer, trainer_weight


def train_rounds(trainer: Trainer, averaging: TimedAveraging, callback: Callback) -> None:
    """Train round after round until `averaging` stops.

    Raises RegroupNeeded if the trainers must regroup; the progress in the round is kept.
    """
    while averaging.running:
        if reassignment_due(trainer, averaging.rounds_done):
            with averaging.paused():
                reassign(trainer, averaging, callback)
        train_until_due(trainer, averaging, callback)
        outcome = averaging.aggregate()
        if outcome is None:  # interrupted: the round is saved as it is
            return
        with averaging.paused():
            if callback.on_round(outcome):
                averaging.stop()
        if averaging.newcomers and averaging.running:
            raise NewcomersWaiting


def train_until_due(trainer: Trainer, averaging: TimedAveraging, callback: Callback) -> None:
    """Take steps until the round is over: at least one step, even if the round is over already."""
    while not (averaging.due and averaging.round.steps):
        if trainer.batches is None:  # no examples
            with averaging.paused():
                averaging.skip_round()
            break
        set_learning_rate(trainer.optimizer, trainer.config, averaging)
        step = trainer.take_step()
        if step is None:  # no batch is left in the resident set
            callback.on_pause()
            with averaging.paused():
                take_next_set(trainer)
            averaging.weight = trainer_weight(trainer)  # more of the shard is counted now
            continue
        averaging.record_step(*step)
        callback.on_step(averaging)
    callback.on_pause()


def reassignment_due(trainer: Trainer, rounds_done: int) -> bool:
    """Whether to reassign blocks: after `reassign_rounds`, or because trainers left or joined."""
    if trainer.next_shard is not None:
        return rounds_done >= trainer.next_shard.round
    every = trainer.config.reassign_rounds
    if not every or trainer.num_shards == 1:
        return False
    return rounds_done > trainer.assigned_at and rounds_done % every == 0


def reassign(trainer: Trainer, averaging: TimedAveraging, callback: Callback) -> None:
    """Take the next assignment. Collective."""
    trainer.reassigning = True
    run_on_all(averaging.comm, partial(trainer.take_next_assignment, averaging.rounds_done))
    averaging.weight = trainer_weight(trainer)
    announce_assignment(trainer, averaging, callback)


def take_next_set(trainer: Trainer) -> None:
    """Take the next resident set. Not collective: the other trainers continue meanwhile.

    Raises TrainerError, which ends this trainer only, if a block cannot be read.
    """
    try:
        trainer.take_set()
    except UserError as error:
        raise TrainerError(f"trainer {trainer.shard_index}: {error}") from error


def announce_assignment(trainer: Trainer, averaging: TimedAveraging, callback: Callback) -> None:
    """Call `on_assignment` with the shard sizes of all trainers. Collective.

    With several resident sets, edges and positives are estimated from the first set.
    """
    trainer.reassigning = True
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
    trainer.reassigning = False
    callback.on_assignment(averaging, trainer.assignment, trainers)
