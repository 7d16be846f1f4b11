"""How a run begins: new, or from the checkpoint of one that was cut short."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from hvdtma.comm.communicator import Communicator, everywhere, on_root
from hvdtma.core.errors import UserError
from hvdtma.runs.folder import Beginning, check_same_config
from hypergraph.config import RunConfig
from hypergraph.data import Split
from hypergraph.learn import HyperLearn
from hypergraph.load import load_split
from hypergraph.run_folder import RunFolder
from hypergraph.train.checkpoint import Checkpoint, read_checkpoint
from hypergraph.train.fit import Progress, still_stopped

# What may be another at a resumption: nothing of it changes what the factors mean.
FREE = {"run", "iterations", "time_limit_s", "placement", "device", "evaluate", "checkpoint"}


class Begun(NamedTuple):
    """What is trained, and how far it has come."""

    run: RunFolder
    split: Split
    model: HyperLearn
    progress: Progress


def begin(config: RunConfig, comm: Communicator, beginning: Beginning) -> Begun | None:
    """What all ranks train, when they are ready; None if the run is over already.

    A collective call; the folder is rank 0's own until it lets go. Raises UserError, on every
    rank, for what does not fit one of them.
    """
    run = RunFolder(config.run)
    what = on_root(comm, partial(_decide, run, config, beginning))
    if what is Beginning.OVER:
        return None
    with ExitStack() as unless_begun:
        unless_begun.callback(run.let_go)
        split = everywhere(comm, lambda: load_split(config.data))
        model = HyperLearn(split, config, comm=comm)
        model.check_scores()
        if what is Beginning.RESUME:
            progress = _go_on(run, config, model)
        else:
            progress = _begin_new(run, config, model, overwrite=what is Beginning.ANEW)
        unless_begun.pop_all()
    return Begun(run, split, model, progress)


def _decide(run: RunFolder, config: RunConfig, beginning: Beginning) -> Beginning:
    """Hold the run, and say what to do with it."""
    run.hold_for(beginning)
    with ExitStack() as unless_going_on:
        unless_going_on.callback(run.let_go)
        what = decided(run, config, beginning)
        if what is not Beginning.OVER:
            unless_going_on.pop_all()
    return what


def decided(run: RunFolder, config: RunConfig, beginning: Beginning) -> Beginning:
    """Which one `EITHER` is; and whether there is anything left to do.

    Raises UserError if a run is there that may not be touched, or is another config's.
    """
    begun = beginning is Beginning.RESUME or run.versions.exists()
    if beginning in (Beginning.NEW, Beginning.ANEW) or not begun:
        anew = beginning is Beginning.ANEW
        run.check_room(*config.inputs, overwrite=anew)
        return Beginning.ANEW if anew else Beginning.NEW
    run.check_there()
    check_same_config(run.config().resolved, config.resolved, run.path, free=FREE)
    saved = run.checkpoint.exists()
    if run.summary.exists() and not (saved and _goes_on(read_checkpoint(run.checkpoint), config)):
        return Beginning.OVER
    return Beginning.ANEW if beginning is Beginning.EITHER and not saved else Beginning.RESUME


def _goes_on(checkpoint: Checkpoint, config: RunConfig) -> bool:
    return not still_stopped(config, checkpoint.progress, checkpoint.iterations)


def _begin_new(
    run: RunFolder, config: RunConfig, model: HyperLearn, *, overwrite: bool
) -> Progress:
    """A new run in a folder of its own."""
    warm = config.warm_start
    if warm is not None:
        before = RunFolder(warm)
        everywhere(model.comm, before.check_learned)
        model.begin_with(before.model, reset_rows=config.reset_rows)
    on_root(model.comm, lambda: run.create(config, overwrite=overwrite))
    return Progress()


def _go_on(run: RunFolder, config: RunConfig, model: HyperLearn) -> Progress:
    """Let a model stand where the run's checkpoint says."""
    comm = model.comm
    checkpoint = on_root(comm, lambda: _checkpoint_of(run, model))
    parts, counters, past = checkpoint.parts, checkpoint.counters, checkpoint.past
    everywhere(comm, lambda: model.learner.go_on(parts, counters, past, config.reset_rows))
    on_root(comm, lambda: run.rewind(config, checkpoint.iterations))
    stopped = still_stopped(config, checkpoint.progress, checkpoint.iterations)
    return replace(checkpoint.progress, stopped=stopped)


def _checkpoint_of(run: RunFolder, model: HyperLearn) -> Checkpoint:
    """Raises UserError if there is none, or it is of other data."""
    checkpoint = read_checkpoint(run.checkpoint)
    if checkpoint.data != model.data.checksum():
        raise UserError(
            f"{run.path} was trained on another hypergraph than the config's data are now; put "
            "them back, or begin it anew with --overwrite"
        )
    return checkpoint
