"""A run from config to summary; `hypergraph.run_folder` says what is in its folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hvdtma.comm.communicator import Communicator, run_on_rank0
from hvdtma.core.console import console
from hvdtma.core.errors import Interrupted
from hvdtma.core.files import write_json
from hvdtma.core.signals import ShutdownSignal
from hvdtma.runs.folder import StartMode
from hypergraph.config import RunConfig
from hypergraph.data import Split
from hypergraph.learn import HyperLearn
from hypergraph.load import load_split
from hypergraph.recorder import recording
from hypergraph.run_folder import FitFolder
from hypergraph.start import FitContext, start_run
from hypergraph.train.checkpoint import Saver
from hypergraph.train.fit import INTERRUPTED


def train_run(
    config: RunConfig,
    comm: Communicator,
    *,
    mode: StartMode = StartMode.NEW,
    shutdown: ShutdownSignal | None = None,
) -> dict | None:
    """Train, score on the test hyperedges and write everything down; a collective call.

    The summary, or None if the run was over before.

    Args:
        shutdown: its signal makes all trainers save and end.

    Raises UserError, on every rank, for what does not fit; Interrupted once it is saved.
    """
    shutdown = shutdown or ShutdownSignal()
    with shutdown.raise_on_signal(
        Interrupted("interrupted before training began; nothing is lost")
    ):
        context = start_run(config, comm, mode)
    if context is None:
        if comm.rank == 0:
            summary = FitFolder(config.run).summary
            over = f"{config.run} is over; its summary: {summary}"
            console.print(over, markup=False, soft_wrap=True)
        return None
    try:
        return _train(config, context, shutdown)
    finally:
        context.run.unlock()


def _train(config: RunConfig, context: FitContext, shutdown: ShutdownSignal) -> dict:
    """Train to the end and sum up, or raise Interrupted when all needed to go on is saved."""
    run, split, model, progress = context
    comm, learner = model.comm, model.learner
    if comm.rank == 0:
        say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        say(f"{split.train}\n{model.placement}")
        if split.num_left_out:
            say(_left_out(split))
    shutdown.on_signal(learner.stop)
    save = Saver(run.checkpoint, learner, config.checkpoint.every)
    with recording(model, run) as watch:
        model.fit(watch, save=save, progress=progress)
        if model.stopped == INTERRUPTED:
            raise Interrupted(
                f"interrupted after iteration {learner.iterations} and saved; "
                f"go on with: {_next(run)}"
            )
        cut_short = Interrupted(f"interrupted while scoring; go on with: {_next(run)}")
        if any(comm.all_gather_object(shutdown.received)):  # it came after the last collective
            raise cut_short
        with shutdown.raise_on_signal(cut_short):
            return _finish(context)


def _left_out(split: Split) -> str:
    """What becomes of hyperedges that are in several parts."""
    return (
        f"left out of training or validation: {split.num_left_out:,} of the hyperedges of "
        f"'{split.relation}', which a later part of the given split has too"
    )


def _next(run: FitFolder) -> str:
    """The command that goes on with a run."""
    return f"{run.maker} --resume {run.path}"


def _finish(context: FitContext) -> dict:
    """Write what was learned, test it, and sum up; a collective call."""
    run, split, model, _ = context
    model.save(run.model)  # after which all ranks have what was learned
    summary = {
        "stopped": model.stopped,
        "iterations": model.learner.iterations,
        "placement": {name: str(place) for name, place in model.placement.places.items()},
        "valid": model.best,
        "test": run_on_rank0(model.comm, lambda: model.evaluate("test"))
        if split.test.num_hyperedges
        else {},
    }
    if split.num_left_out:
        summary["num_left_out"] = split.num_left_out
    run_on_rank0(model.comm, lambda: write_json(run.summary, summary))
    return summary


def open_run(path: Path) -> HyperLearn:
    """The model of a run, with its data; raises UserError if there is none, or none yet."""
    run = FitFolder(path)
    run.check_learned()
    return HyperLearn.load(run.model, load_split(run.config().data))
