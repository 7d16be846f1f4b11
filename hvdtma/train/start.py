"""How a trainer begins: a new run, one that goes on from a checkpoint, or one under way."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hvdtma.aggregate import Stop, TimedAveraging
from hvdtma.comm.communicator import Communicator, TrainerLost, everywhere, on_root
from hvdtma.core.errors import TrainerError, UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.folder import Beginning, check_same_config
from hvdtma.runs.run_folder import RunFolder
from hvdtma.train.checkpoint import Checkpoint, newest, restore_best
from hvdtma.train.membership import Briefing, Present, call_roll, stopped_at, take_seat
from hvdtma.train.set_up import count_sharers, make_averaging, set_up
from hvdtma.train.trainer import Trainer, hand_weight


class Begun(NamedTuple):
    """What a trainer trains with; `together`: all begin at once, and none joins the others."""

    run: RunFolder
    trainer: Trainer
    averaging: TimedAveraging
    together: bool = True


# What may be another at a resumption: nothing of it changes what the parameters mean.
FREE = {
    *("run", "trainers", "rounds", "time_limit_s", "redeal_rounds", "threads", "device"),
    *("memory_gb", "scratch_dir", "resident_epochs", "evaluate", "checkpoint"),
    *("elastic", "on_loss", "min_trainers", "rejoin_timeout_s", "hang_limit_s"),
}


def begin(config: TrainConfig, comm: Communicator, beginning: Beginning) -> Begun | None:
    """What this trainer trains with, when all are ready; None if the run is over already.

    A collective call; what trainer 0 was asked for goes. Raises UserError on every trainer for
    what does not fit one of them.
    """
    while True:
        try:
            roll, told = call_roll(comm)
            if told is not None:
                return join(comm, roll, told, comm.clock(), count_sharers(comm))
            config, beginning = comm.broadcast((config, beginning))
            run = RunFolder(config.run)
            what = on_root(comm, partial(_decide, run, config, beginning))
            if beginning is Beginning.NEW:  # should one be lost from here on: what is there is ours
                beginning = Beginning.EITHER
            with ExitStack() as unless_begun:
                unless_begun.callback(run.let_go)
                begun = _begin_together(config, comm, run, what)
                unless_begun.pop_all()
            return begun
        except TrainerLost:
            if not comm.elastic:
                raise
            comm.regroup()


def _begin_together(
    config: TrainConfig, comm: Communicator, run: RunFolder, what: Beginning
) -> Begun | None:
    """A new run, or one that goes on; its folder is trainer 0's own from here on."""
    if what is Beginning.OVER:
        run.let_go()
        return None
    if what is Beginning.RESUME:
        return go_on(config, comm, run)
    return begin_new(config, comm, run, overwrite=what is Beginning.ANEW)


def _decide(run: RunFolder, config: TrainConfig, beginning: Beginning) -> Beginning:
    """Hold the run, and say what to do with it."""
    run.hold_for(beginning)
    try:
        return decided(run, config, beginning)
    except UserError:
        run.let_go()
        raise


def decided(run: RunFolder, config: TrainConfig, beginning: Beginning) -> Beginning:
    """Which one `EITHER` is; and whether it can be.

    Raises UserError if a run is there that may not be touched, or is another config's.
    """
    if beginning in (Beginning.NEW, Beginning.ANEW):
        run.check_room(config.store, overwrite=beginning is Beginning.ANEW)
    if beginning is not Beginning.EITHER:
        return beginning
    if not run.versions.exists():
        return Beginning.NEW
    _check_config(run.config(), config, run.path)
    checkpoint = newest(run)
    if run.summary.exists():
        longer = checkpoint and stopped_before(config, checkpoint) is Stop.NOT
        return Beginning.RESUME if longer else Beginning.OVER
    return Beginning.RESUME if checkpoint else Beginning.ANEW


def clear_the_way(config: TrainConfig, beginning: Beginning) -> None:
    """Before anybody trains: from here on, what `beginning` asks for is what `EITHER` comes to.

    Raises UserError if a run is there that may not be touched, or another process trains it.
    """
    if beginning is Beginning.EITHER:
        return  # decided by whoever trains
    run = RunFolder(config.run)
    run.hold()
    try:
        run.make_room(config.store, overwrite=beginning is Beginning.ANEW)
    finally:
        run.let_go()


def begin_new(config: TrainConfig, comm: Communicator, run: RunFolder, *, overwrite: bool) -> Begun:
    """A new run in a folder of its own."""
    _check_trainers(config, comm)
    sharers = count_sharers(comm)
    trainer = everywhere(comm, lambda: _dealt(set_up(config, comm, sharers)))
    _check_work(trainer, comm)
    on_root(comm, lambda: RunFolder.create(config, trainer.store, overwrite=overwrite))
    return Begun(run, trainer, make_averaging(trainer, comm))


def go_on(config: TrainConfig, comm: Communicator, run: RunFolder) -> Begun:
    """The run of the config's folder, from its newest checkpoint.

    With as many trainers as then, exactly as if it had not been cut short; with others, from the
    parameters: an unfinished round is averaged, and all blocks are dealt anew.
    """
    _check_trainers(config, comm)
    checkpoint = on_root(comm, lambda: find_checkpoint(run, config))
    sharers = count_sharers(comm)
    trainer = everywhere(comm, lambda: set_up(config, comm, sharers))
    on_root(comm, lambda: run.check_same(trainer.store))
    averaging = make_averaging(trainer, comm)
    everywhere(comm, lambda: _restore(trainer, averaging, checkpoint))
    loaded_at = comm.clock()
    _check_work(trainer, comm)
    averaging.weight = hand_weight(trainer)

    def rewind() -> None:
        run.rewind(config, averaging.rounds_done, checkpoint.facts["deal"])
        restore_best(run, checkpoint)

    on_root(comm, rewind)
    averaging.stopped = stopped_before(config, checkpoint)
    averaging.wait_until_now(loaded_at)  # all at once, however long each one read
    return Begun(run, trainer, averaging)


def find_checkpoint(run: RunFolder, config: TrainConfig) -> Checkpoint:
    """What to go on from.

    Raises UserError if there is nothing, or it is another config's: the differences are listed.
    """
    RunFolder.open(run.path)
    checkpoint = newest(run)
    if checkpoint is None:
        raise UserError(
            f"{run.path} has no checkpoint to go on from; --overwrite begins it anew "
            "(checkpoint.every says how often one is written)"
        )
    _check_config(checkpoint.config, config, checkpoint.path)
    return checkpoint


def _check_config(then: TrainConfig, now: TrainConfig, path: Path) -> None:
    """Raises UserError, listing the differences, if what is at `path` is of another config."""
    check_same_config(then.resolved, now.resolved, path, free=FREE)


def stopped_before(config: TrainConfig, checkpoint: Checkpoint) -> Stop:
    """Whether the run was over already, and was only not scored to the end."""
    facts, then = checkpoint.facts, checkpoint.config
    last = facts["last"] or {"round": 0, "time_s": 0.0}
    if config.rounds is not None and last["round"] >= config.rounds:
        return Stop.ROUNDS
    if config.time_limit_s is not None and last["time_s"] >= config.time_limit_s:
        return Stop.TIME_LIMIT
    same = config.evaluate.patience == then.evaluate.patience
    return Stop.EARLY if facts["stopped"] == Stop.EARLY and same else Stop.NOT


def _restore(trainer: Trainer, averaging: TimedAveraging, checkpoint: Checkpoint) -> None:
    """Put a trainer where it stood."""
    facts, rank = checkpoint.facts, averaging.comm.rank
    standing = checkpoint.standing()
    trainer.deal, trainer.dealt_at = facts["deal"], facts["dealt_at"]
    own = checkpoint.own(rank % checkpoint.trainers)
    own.restore_optimizer(trainer.optimizer)
    seated = sorted(facts["seated"]) == list(range(averaging.comm.size))
    if seated and facts["seats"] == averaging.comm.size and not facts["moving"]:
        trainer.seat = own.facts["seat"]
        trainer.take_deal(trainer.deal, place=own.place)
        standing.take(averaging)
        own.progress.take(averaging)
        trainer.wait_for_data_s = own.facts["wait_for_data_s"]
        own.restore_random(trainer.device)
        return
    trainer.take_deal(trainer.deal)
    checkpoint.averaged(standing).take(averaging)


def join(
    comm: Communicator, roll: list[Present | None], told: Briefing, told_at: float, sharers: int
) -> Begun:
    """A run under way, as one more trainer; the others do not wait for what this one reads.

    Raises TrainerError if this one cannot take part.
    """
    try:
        trainer = set_up(told.config, comm, sharers)
        take_seat(trainer, roll, told, comm.rank)
    except UserError as error:
        raise TrainerError(f"trainer {comm.rank} could not join: {error}") from error
    averaging = make_averaging(trainer, comm)
    told.standing.take(averaging, told_at=told_at)
    averaging.stopped = stopped_at(roll)
    return Begun(RunFolder(told.run), trainer, averaging, together=False)


def _dealt(trainer: Trainer) -> Trainer:
    trainer.take_deal(0)
    return trainer


def _check_trainers(config: TrainConfig, comm: Communicator) -> None:
    if config.trainers is not None and config.trainers != comm.size and not comm.elastic:
        raise UserError(
            f"the config asks for {config.trainers} trainers, the launcher started {comm.size}; "
            f"use horovodrun -np {config.trainers}, or --in-process {config.trainers}"
        )


def _check_work(trainer: Trainer, comm: Communicator) -> None:
    if not any(comm.gather(trainer.batches is not None)):
        raise UserError(f"no trainer has anything to train on in {trainer.config.store}")
