"""The start of a run: new, or resumed from its checkpoint."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hvdtma.comm.communicator import Communicator, run_on_all, run_on_rank0
from hvdtma.core.errors import UserError
from hvdtma.runs.folder import StartMode
from hvdtma.runs.start_rules import StartRules, lock_and_resolve
from hypergraph.config import RunConfig
from hypergraph.data import Split
from hypergraph.learn import HyperLearn
from hypergraph.load import load_split
from hypergraph.run_folder import FitFolder
from hypergraph.train.checkpoint import FitCheckpoint, read_checkpoint
from hypergraph.train.fit import FitProgress, still_stopped

# Keys that may change when a run is resumed: they do not change the meaning of the factors.
RESUMABLE_KEYS = {
    "run",
    "iterations",
    "time_limit_s",
    "placement",
    "device",
    "evaluate",
    "checkpoint",
}


class FitContext(NamedTuple):
    """A run that is ready to train."""

    run: FitFolder
    split: Split
    model: HyperLearn
    progress: FitProgress


def start_run(config: RunConfig, comm: Communicator, mode: StartMode) -> FitContext | None:
    """Start or resume a run; None if it is finished already. Collective.

    Rank 0 keeps the run's folder locked. Raises UserError, on every rank, if the folder, the data,
    the config or the checkpoint do not fit on one of them.
    """
    run = FitFolder(config.run)
    rules = start_rules(run, config)
    resolved = run_on_rank0(comm, lambda: lock_and_resolve(run, config.resolved, mode, rules))
    if resolved is StartMode.DONE:
        return None
    with ExitStack() as unlocking:
        unlocking.callback(run.unlock)
        split = run_on_all(comm, lambda: load_split(config.data))
        model = HyperLearn(split, config, comm=comm)
        model.check_validation()
        if resolved is StartMode.RESUME:
            progress = _resume(run, config, model)
        else:
            progress = _start_new(run, config, model, overwrite=resolved is StartMode.OVERWRITE)
        unlocking.pop_all()
    return FitContext(run, split, model, progress)


def start_rules(run: FitFolder, config: RunConfig) -> StartRules[RunConfig]:
    """The rules by which a run resolves its start mode."""

    def has_work_left() -> bool:
        checkpoint = read_checkpoint(run.checkpoint)
        return not still_stopped(config, checkpoint.progress, checkpoint.iterations)

    return StartRules(
        RESUMABLE_KEYS,
        inputs=config.inputs,
        recorded_config=lambda: run.config().resolved,
        has_checkpoint=run.checkpoint.exists,
        has_work_left=has_work_left,
        compared=_without_paths_of_data,
    )


def _without_paths_of_data(config: RunConfig) -> RunConfig:
    """Data may be moved: the checkpoint has their checksum."""
    return config.model_copy(update={"data": config.data.with_paths(lambda _: Path())})


def _start_new(
    run: FitFolder, config: RunConfig, model: HyperLearn, *, overwrite: bool
) -> FitProgress:
    if config.warm_start is not None:
        before = FitFolder(config.warm_start)
        run_on_all(model.comm, before.check_learned)
        model.warm_start(before.model, reset_rows=config.reset_rows)
    run_on_rank0(model.comm, lambda: run.create(config, overwrite=overwrite))
    return FitProgress()


def _resume(run: FitFolder, config: RunConfig, model: HyperLearn) -> FitProgress:
    """Restore the state in the run's checkpoint, and how far training had come."""
    comm = model.comm
    checkpoint = run_on_rank0(comm, lambda: _checkpoint_of(run, model))
    parts, counters, history = checkpoint.parts, checkpoint.counters, checkpoint.history
    run_on_all(comm, lambda: model.trainer.restore_run(parts, counters, history, config.reset_rows))
    run_on_rank0(comm, lambda: run.rewind(config, checkpoint.iterations))
    stopped = still_stopped(config, checkpoint.progress, checkpoint.iterations)
    return replace(checkpoint.progress, stopped=stopped)


def _checkpoint_of(run: FitFolder, model: HyperLearn) -> FitCheckpoint:
    """The run's checkpoint; raises UserError if it is damaged, or of other data."""
    checkpoint = read_checkpoint(run.checkpoint)
    if checkpoint.data != model.data.checksum():
        raise UserError(
            f"{run.path} was trained on another hypergraph: the config's data have changed since. "
            "Restore them, or start the run again with --overwrite"
        )
    return checkpoint
