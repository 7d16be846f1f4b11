"""How a run begins: new, or from the checkpoint of one that was cut short."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from hvdtma.comm.communicator import Communicator, run_on_all, run_on_rank0
from hvdtma.core.errors import UserError
from hvdtma.runs.folder import StartMode, check_same_config
from hypergraph.config import RunConfig
from hypergraph.data import Split
from hypergraph.learn import HyperLearn
from hypergraph.load import load_split
from hypergraph.run_folder import FitFolder
from hypergraph.train.checkpoint import FitCheckpoint, read_checkpoint
from hypergraph.train.fit import FitProgress, still_stopped

# What may be another at a resumption: nothing of it changes what the factors mean.
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
    """What is trained, and how far it has come."""

    run: FitFolder
    split: Split
    model: HyperLearn
    progress: FitProgress


def start_run(config: RunConfig, comm: Communicator, mode: StartMode) -> FitContext | None:
    """What all ranks train, when they are ready; None if the run is over already.

    A collective call; the folder is rank 0's own until it lets go. Raises UserError, on every
    rank, for what does not fit one of them.
    """
    run = FitFolder(config.run)
    what = run_on_rank0(comm, partial(_decide, run, config, mode))
    if what is StartMode.DONE:
        return None
    with ExitStack() as unless_begun:
        unless_begun.callback(run.unlock)
        split = run_on_all(comm, lambda: load_split(config.data))
        model = HyperLearn(split, config, comm=comm)
        model.check_scores()
        if what is StartMode.RESUME:
            progress = _go_on(run, config, model)
        else:
            progress = _begin_new(run, config, model, overwrite=what is StartMode.OVERWRITE)
        unless_begun.pop_all()
    return FitContext(run, split, model, progress)


def _decide(run: FitFolder, config: RunConfig, mode: StartMode) -> StartMode:
    """Hold the run, and say what to do with it."""
    run.lock_for(mode)
    with ExitStack() as unless_going_on:
        unless_going_on.callback(run.unlock)
        what = resolve_start_mode(run, config, mode)
        if what is not StartMode.DONE:
            unless_going_on.pop_all()
    return what


def resolve_start_mode(run: FitFolder, config: RunConfig, mode: StartMode) -> StartMode:
    """Which one `AUTO` is; and whether there is anything left to do.

    Raises UserError if a run is there that may not be touched, or is another config's.
    """
    begun = mode is StartMode.RESUME or run.versions.exists()
    if mode in (StartMode.NEW, StartMode.OVERWRITE) or not begun:
        anew = mode is StartMode.OVERWRITE
        run.check_room(*config.inputs, overwrite=anew)
        return StartMode.OVERWRITE if anew else StartMode.NEW
    run.check_there()
    check_same_config(run.config().resolved, config.resolved, run.path, free=RESUMABLE_KEYS)
    saved = run.checkpoint.exists()
    if run.summary.exists() and not (saved and _goes_on(read_checkpoint(run.checkpoint), config)):
        return StartMode.DONE
    return StartMode.OVERWRITE if mode is StartMode.AUTO and not saved else StartMode.RESUME


def _goes_on(checkpoint: FitCheckpoint, config: RunConfig) -> bool:
    return not still_stopped(config, checkpoint.progress, checkpoint.iterations)


def _begin_new(
    run: FitFolder, config: RunConfig, model: HyperLearn, *, overwrite: bool
) -> FitProgress:
    """A new run in a folder of its own."""
    warm = config.warm_start
    if warm is not None:
        before = FitFolder(warm)
        run_on_all(model.comm, before.check_learned)
        model.begin_with(before.model, reset_rows=config.reset_rows)
    run_on_rank0(model.comm, lambda: run.create(config, overwrite=overwrite))
    return FitProgress()


def _go_on(run: FitFolder, config: RunConfig, model: HyperLearn) -> FitProgress:
    """Let a model stand where the run's checkpoint says."""
    comm = model.comm
    checkpoint = run_on_rank0(comm, lambda: _checkpoint_of(run, model))
    parts, counters, past = checkpoint.parts, checkpoint.counters, checkpoint.past
    run_on_all(comm, lambda: model.learner.resume_run(parts, counters, past, config.reset_rows))
    run_on_rank0(comm, lambda: run.rewind(config, checkpoint.iterations))
    stopped = still_stopped(config, checkpoint.progress, checkpoint.iterations)
    return replace(checkpoint.progress, stopped=stopped)


def _checkpoint_of(run: FitFolder, model: HyperLearn) -> FitCheckpoint:
    """Raises UserError if there is none, or it is of other data."""
    checkpoint = read_checkpoint(run.checkpoint)
    if checkpoint.data != model.data.checksum():
        raise UserError(
            f"{run.path} was trained on another hypergraph than the config's data are now; put "
            "them back, or begin it anew with --overwrite"
        )
    return checkpoint
