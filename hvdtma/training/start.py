"""How a trainer begins: a new run, one that goes on from a checkpoint, or one under way."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from hvdtma.aggregate import Stop, TimedAveraging
from hvdtma.comm.communicator import Communicator, TrainerLost, run_on_all, run_on_rank0
from hvdtma.core.errors import TrainerError, UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.runs.folder import StartMode
from hvdtma.runs.run_folder import RunFolder
from hvdtma.runs.start import StartRules, check_same_config, lock_and_resolve, no_checkpoint
from hvdtma.training.checkpoint import Checkpoint, newest, restore_best
from hvdtma.training.membership import (
    JoinState,
    MemberState,
    stopped_at,
    sync_membership,
    take_shard,
)
from hvdtma.training.set_up import count_sharers, make_averaging, set_up
from hvdtma.training.trainer import Trainer, trainer_weight


class RunContext(NamedTuple):
    """What a trainer trains with; `together`: all start_run at once, and none joins the others."""

    run: RunFolder
    trainer: Trainer
    averaging: TimedAveraging
    together: bool = True


# What may be another at a resumption: nothing of it changes what the parameters mean.
RESUMABLE_KEYS = {
    *("run", "trainers", "rounds", "time_limit_s", "reassign_rounds", "threads", "device"),
    *("memory_gb", "scratch_dir", "resident_epochs", "evaluate", "checkpoint"),
    *("elastic", "on_loss", "min_trainers", "rejoin_timeout_s", "hang_limit_s"),
}


def start_run(config: TrainConfig, comm: Communicator, mode: StartMode) -> RunContext | None:
    """What this trainer trains with, when all are ready; None if the run is over already.

    A collective call; what trainer 0 was asked for goes. Raises UserError on every trainer for
    what does not fit one of them.
    """
    while True:
        try:
            members, join_state = sync_membership(comm)
            if join_state is not None:
                return join(comm, members, join_state, comm.clock(), count_sharers(comm))
            config, mode = comm.broadcast_object((config, mode))
            run = RunFolder(config.run)
            rules = start_rules(run, config)
            what = run_on_rank0(comm, partial(lock_and_resolve, run, config.resolved, mode, rules))
            if mode is StartMode.NEW:  # should one be lost from here on: what is there is ours
                mode = StartMode.AUTO
            with ExitStack() as unless_begun:
                unless_begun.callback(run.unlock)
                begun = _start_together(config, comm, run, what)
                unless_begun.pop_all()
            return begun
        except TrainerLost:
            if not comm.elastic:
                raise
            comm.regroup()


def _start_together(
    config: TrainConfig, comm: Communicator, run: RunFolder, what: StartMode
) -> RunContext | None:
    """A new run, or one that goes on; its folder is trainer 0's own from here on."""
    if what is StartMode.DONE:
        run.unlock()
        return None
    if what is StartMode.RESUME:
        return resume_run(config, comm, run)
    return start_new(config, comm, run, overwrite=what is StartMode.OVERWRITE)


def start_rules(run: RunFolder, config: TrainConfig) -> StartRules[TrainConfig]:
    """How the start mode of a training run is resolved."""
    checkpoint = cache(lambda: newest(run))

    def has_work_left() -> bool:
        found = checkpoint()
        return found is not None and stopped_before(config, found) is Stop.NOT

    return StartRules(
        RESUMABLE_KEYS,
        inputs=[config.store],
        recorded_config=lambda: run.config().resolved,
        has_checkpoint=lambda: checkpoint() is not None,
        has_work_left=has_work_left,
    )


def start_new(
    config: TrainConfig, comm: Communicator, run: RunFolder, *, overwrite: bool
) -> RunContext:
    """A new run in a folder of its own."""
    _check_trainers(config, comm)
    sharers = count_sharers(comm)
    trainer = run_on_all(comm, lambda: _with_blocks(set_up(config, comm, sharers)))
    _check_work(trainer, comm)
    averaging = run_on_all(comm, lambda: make_averaging(trainer, comm))
    run_on_rank0(comm, lambda: RunFolder.create(config, trainer.store, overwrite=overwrite))
    return RunContext(run, trainer, averaging)


def resume_run(config: TrainConfig, comm: Communicator, run: RunFolder) -> RunContext:
    """The run of the config's folder, from its newest checkpoint.

    With as many trainers as then, exactly as if it had not been cut short; with others, from the
    parameters: an unfinished round is averaged, and all blocks are reassigned.
    """
    _check_trainers(config, comm)
    checkpoint = run_on_rank0(comm, lambda: find_checkpoint(run, config))
    sharers = count_sharers(comm)
    trainer = run_on_all(comm, lambda: set_up(config, comm, sharers))
    run_on_rank0(comm, lambda: run.check_same(trainer.store))
    averaging = make_averaging(trainer, comm)
    run_on_all(comm, lambda: _restore(trainer, averaging, checkpoint))
    loaded_at = comm.clock()
    _check_work(trainer, comm)
    averaging.weight = trainer_weight(trainer)

    def rewind() -> None:
        run.rewind(config, averaging.rounds_done, checkpoint.facts["assignment"])
        restore_best(run, checkpoint)

    run_on_rank0(comm, rewind)
    averaging.stopped = stopped_before(config, checkpoint)
    averaging.wait_until_now(loaded_at)  # all at once, however long each one read
    return RunContext(run, trainer, averaging)


def find_checkpoint(run: RunFolder, config: TrainConfig) -> Checkpoint:
    """What to go on from.

    Raises UserError if there is nothing, or it is another config's: the differences are listed.
    """
    RunFolder.open(run.path)
    checkpoint = newest(run)
    if checkpoint is None:
        raise no_checkpoint(run.path)
    _check_config(checkpoint.config, config, checkpoint.path)
    return checkpoint


def _check_config(then: TrainConfig, now: TrainConfig, path: Path) -> None:
    """Raises UserError, listing the differences, if what is at `path` is of another config."""
    check_same_config(then.resolved, now.resolved, path, RESUMABLE_KEYS)


def stopped_before(config: TrainConfig, checkpoint: Checkpoint) -> Stop:
    """Whether the run was over already, and was only not scored to the end."""
    last = checkpoint.last
    if config.rounds is not None and last["round"] >= config.rounds:
        return Stop.ROUNDS
    if config.time_limit_s is not None and last["time_s"] >= config.time_limit_s:
        return Stop.TIME_LIMIT
    same_patience = config.evaluate.patience == checkpoint.config.evaluate.patience
    return Stop.EARLY if checkpoint.stopped is Stop.EARLY and same_patience else Stop.NOT


def _restore(trainer: Trainer, averaging: TimedAveraging, checkpoint: Checkpoint) -> None:
    """Put a trainer where it stood."""
    facts, rank = checkpoint.facts, averaging.comm.rank
    averaging.load_global_state(checkpoint.global_state())
    trainer.assignment, trainer.assigned_at = facts["assignment"], facts["assigned_at"]
    own = checkpoint.rank(rank % checkpoint.trainers)
    own.restore_optimizer(trainer.optimizer)
    complete = sorted(facts["shard_indices"]) == list(range(averaging.comm.size))
    if complete and facts["num_shards"] == averaging.comm.size and not facts["reassigning"]:
        trainer.shard_index = own.facts["shard_index"]
        trainer.take_assignment(trainer.assignment, shard_progress=own.shard_progress)
        averaging.load_rank_state(own.averaging)
        trainer.wait_for_data_s = own.facts["wait_for_data_s"]
        own.restore_random(trainer.device)
        return
    trainer.take_assignment(trainer.assignment)
    checkpoint.aggregate_unfinished(averaging)


def join(
    comm: Communicator,
    members: list[MemberState | None],
    join_state: JoinState,
    known_at: float,
    sharers: int,
) -> RunContext:
    """A run under way, as one more trainer; the others do not wait for what this one reads.

    Raises TrainerError if this one cannot take part.
    """
    try:
        trainer = set_up(join_state.config, comm, sharers)
        take_shard(trainer, members, join_state, comm.rank)
    except UserError as error:
        raise TrainerError(f"trainer {comm.rank} could not join: {error}") from error
    averaging = make_averaging(trainer, comm)
    averaging.load_global_state(join_state.averaging, known_at=known_at)
    averaging.stopped = stopped_at(members)
    return RunContext(RunFolder(join_state.run), trainer, averaging, together=False)


def _with_blocks(trainer: Trainer) -> Trainer:
    trainer.take_assignment(0)
    return trainer


def _check_trainers(config: TrainConfig, comm: Communicator) -> None:
    if config.trainers is not None and config.trainers != comm.size and not comm.elastic:
        raise UserError(
            f"the config asks for {config.trainers} trainers, the launcher started {comm.size}; "
            f"use horovodrun -np {config.trainers}, or --in-process {config.trainers}"
        )


def _check_work(trainer: Trainer, comm: Communicator) -> None:
    if not any(comm.all_gather_object(trainer.batches is not None)):
        raise UserError(f"no trainer has anything to train on in {trainer.config.store}")
