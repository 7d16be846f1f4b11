"""Starts a new run, resumes a run from its newest checkpoint, or joins a run in progress."""

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
from hvdtma.runs.start_rules import StartRules, check_same_config, lock_and_resolve, no_checkpoint
from hvdtma.training.checkpoint import Checkpoint, newest, restore_best
from hvdtma.training.initial import load_initial
from hvdtma.training.membership import (
    JoinState,
    Members,
    stop_reason,
    sync_membership,
    take_shard,
)
from hvdtma.training.placement import warn_of_placement
from hvdtma.training.set_up import count_sharers, make_averaging, set_up
from hvdtma.training.trainer import Trainer, trainer_weight


class RunContext(NamedTuple):
    """The objects that a trainer needs to train.

    Attributes:
        joined: whether this trainer joined a run in progress.
    """

    run: RunFolder
    trainer: Trainer
    averaging: TimedAveraging
    joined: bool = False


# Keys that may change when a run is resumed: they do not change the meaning of the parameters.
# A store may be moved; `RunFolder.check_same` compares the graphs.
RESUMABLE_KEYS = {
    *("run", "store", "trainers", "rounds", "time_limit_s", "reassign_rounds", "threads", "device"),
    *("memory_gb", "scratch_dir", "sampler.workers", "resident_epochs", "evaluate", "checkpoint"),
    *("log", "log_options", "profile"),
    *("elastic", "on_loss", "min_trainers", "rejoin_timeout_s", "hang_limit_s"),
}


def start_run(config: TrainConfig, comm: Communicator, mode: StartMode) -> RunContext | None:
    """Start, resume or join a run. Collective; rank 0's arguments win.

    Returns None if the run is complete already. Raises UserError on every trainer if one of them
    cannot start.
    """
    while True:
        try:
            members, join_state = sync_membership(comm)
            if join_state is not None:
                return join(comm, members, join_state, comm.clock(), count_sharers(comm))
            config, mode = comm.broadcast_object((config, mode))
            run = RunFolder(config.run)
            rules = start_rules(run, config)
            resolve = partial(lock_and_resolve, run, config.resolved, mode, rules)
            resolved = run_on_rank0(comm, resolve)
            if mode is StartMode.NEW:  # after a loss, the folder that exists is this run's own
                mode = StartMode.AUTO
            with ExitStack() as on_error:
                on_error.callback(run.unlock)
                context = _start_or_resume(config, comm, run, resolved)
                on_error.pop_all()
            return context
        except TrainerLost:
            if not comm.elastic:
                raise
            comm.regroup()


def _start_or_resume(
    config: TrainConfig, comm: Communicator, run: RunFolder, mode: StartMode
) -> RunContext | None:
    """Start or resume the run, whose folder rank 0 has locked."""
    if mode is StartMode.DONE:
        run.unlock()
        return None
    if mode is StartMode.RESUME:
        return resume_run(config, comm, run)
    return start_new(config, comm, run, overwrite=mode is StartMode.OVERWRITE)


def start_rules(run: RunFolder, config: TrainConfig) -> StartRules[TrainConfig]:
    """The rules by which a training run resolves its start mode."""
    checkpoint = cache(lambda: newest(run))

    def has_work_left() -> bool:
        saved = checkpoint()
        return saved is not None and stopped_before(config, saved) is Stop.NOT

    return StartRules(
        RESUMABLE_KEYS,
        inputs=config.inputs,
        recorded_config=lambda: run.config().resolved,
        has_checkpoint=lambda: checkpoint() is not None,
        has_work_left=has_work_left,
    )


def start_new(
    config: TrainConfig, comm: Communicator, run: RunFolder, *, overwrite: bool
) -> RunContext:
    """Start a new run in its own folder. Collective."""
    _check_trainers(config, comm)
    sharers = count_sharers(comm)
    trainer = run_on_all(comm, lambda: _set_up_with_shard(config, comm, sharers))
    _check_examples(trainer, comm)
    averaging = run_on_all(comm, lambda: make_averaging(trainer, comm))
    warn_of_placement(comm, trainer.device, config.memory_gb)

    def create() -> None:
        RunFolder.create(config, trainer.store, overwrite=overwrite)

    run_on_rank0(comm, create)
    return RunContext(run, trainer, averaging)


def resume_run(config: TrainConfig, comm: Communicator, run: RunFolder) -> RunContext:
    """Resume the run in the config's folder from its newest checkpoint. Collective.

    With the same number of trainers, the run continues exactly as if it had not been interrupted.
    With another number, or a store in another order of nodes, the unfinished round is aggregated,
    and all blocks are reassigned.
    """
    _check_trainers(config, comm)
    checkpoint = run_on_rank0(comm, lambda: find_checkpoint(run, config))
    sharers = count_sharers(comm)
    trainer = run_on_all(comm, lambda: set_up(config, comm, sharers))
    run_on_rank0(comm, lambda: run.check_same(trainer.store))
    warn_of_placement(comm, trainer.device, config.memory_gb)
    averaging = make_averaging(trainer, comm)
    run_on_all(comm, lambda: _restore(trainer, averaging, checkpoint))
    loaded_at = comm.clock()
    _check_examples(trainer, comm)
    averaging.weight = trainer_weight(trainer)

    def rewind() -> None:
        run.rewind(config, averaging.rounds_done, checkpoint.facts["assignment"])
        restore_best(run, checkpoint)

    run_on_rank0(comm, rewind)
    averaging.stopped = stopped_before(config, checkpoint)
    averaging.exclude_time_since(loaded_at)  # reading times differ between trainers
    return RunContext(run, trainer, averaging)


def find_checkpoint(run: RunFolder, config: TrainConfig) -> Checkpoint:
    """The checkpoint to resume from.

    Raises UserError if there is none, or if it belongs to another config; lists the differences.
    """
    RunFolder.open(run.path)
    checkpoint = newest(run)
    if checkpoint is None:
        raise no_checkpoint(run.path)
    _check_config(checkpoint.config, config, checkpoint.path)
    return checkpoint


def _check_config(then: TrainConfig, now: TrainConfig, path: Path) -> None:
    """Raises UserError, with the differences, if `path` belongs to another config."""
    check_same_config(then.resolved, now.resolved, path, RESUMABLE_KEYS)


def stopped_before(config: TrainConfig, checkpoint: Checkpoint) -> Stop:
    """The reason if training was complete at the checkpoint, and only scoring was not."""
    last = checkpoint.last
    if config.rounds is not None and last["round"] >= config.rounds:
        return Stop.ROUNDS
    if config.time_limit_s is not None and last["time_s"] >= config.time_limit_s:
        return Stop.TIME_LIMIT
    same_patience = config.evaluate.patience == checkpoint.config.evaluate.patience
    return Stop.EARLY if checkpoint.stopped is Stop.EARLY and same_patience else Stop.NOT


def _restore(trainer: Trainer, averaging: TimedAveraging, checkpoint: Checkpoint) -> None:
    """Restore a trainer and its averaging from a checkpoint."""
    facts, rank = checkpoint.facts, averaging.comm.rank
    averaging.load_global_state(checkpoint.global_state())
    trainer.assignment, trainer.assigned_at = facts["assignment"], facts["assigned_at"]
    saved = checkpoint.rank(rank % checkpoint.trainers)
    saved.restore_optimizer(trainer.optimizer)
    complete = sorted(facts["shard_indices"]) == list(range(averaging.comm.size))
    complete &= facts.get("order", trainer.store.order) == trainer.store.order
    if complete and facts["num_shards"] == averaging.comm.size and not facts["reassigning"]:
        trainer.shard_index = saved.facts["shard_index"]
        trainer.take_assignment(trainer.assignment, shard_progress=saved.shard_progress)
        averaging.load_rank_state(saved.averaging)
        trainer.wait_for_data_s = saved.facts["wait_for_data_s"]
        saved.restore_random(trainer.device)
        return
    trainer.take_assignment(trainer.assignment)
    checkpoint.aggregate_unfinished(averaging)


def join(
    comm: Communicator,
    members: Members,
    join_state: JoinState,
    known_at: float,
    sharers: int,
) -> RunContext:
    """Join a run in progress. The other trainers do not wait while this one reads its shard.

    Args:
        known_at: clock time at which `join_state` was received.
        sharers: result of `count_sharers`.

    Raises TrainerError, which ends this trainer only, if it cannot join.
    """
    try:
        trainer = set_up(join_state.config, comm, sharers)
        take_shard(trainer, members, join_state, comm.rank)
    except UserError as error:
        raise TrainerError(f"trainer {comm.rank} could not join: {error}") from error
    averaging = make_averaging(trainer, comm)
    averaging.load_global_state(join_state.averaging, known_at=known_at)
    averaging.stopped = stop_reason(members)
    return RunContext(RunFolder(join_state.run), trainer, averaging, joined=True)


def _set_up_with_shard(config: TrainConfig, comm: Communicator, sharers: int) -> Trainer:
    """A trainer with its initial parameters and its first assignment."""
    trainer = set_up(config, comm, sharers)
    load_initial(trainer.model, trainer.task, config, trainer.store, quiet=comm.rank > 0)
    trainer.take_assignment(0)
    return trainer


def _check_trainers(config: TrainConfig, comm: Communicator) -> None:
    if config.trainers is not None and config.trainers != comm.size and not comm.elastic:
        raise UserError(
            f"the config asks for {config.trainers} trainers, the launcher started {comm.size}; "
            f"use horovodrun -np {config.trainers}, or --in-process {config.trainers}"
        )


def _check_examples(trainer: Trainer, comm: Communicator) -> None:
    if not any(comm.all_gather_object(trainer.batches is not None)):
        raise UserError(f"{trainer.config.store} has no examples to train on")
