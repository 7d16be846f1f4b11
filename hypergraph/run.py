"""A run from its config to its summary; `hypergraph.run_folder` lists the files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hvdtma.comm.communicator import Communicator, run_on_rank0
from hvdtma.core.console import console
from hvdtma.core.errors import Interrupted
from hvdtma.core.signals import ShutdownSignal
from hvdtma.runs.folder import StartMode
from hypergraph.config import RunConfig
from hypergraph.data import Split
from hypergraph.learn import HyperLearn
from hypergraph.load import load_split
from hypergraph.recorder import recording
from hypergraph.run_folder import FitFolder
from hypergraph.start import FitContext, start_run
from hypergraph.train.checkpoint import CheckpointWriter
from hypergraph.train.fit import INTERRUPTED


def train_run(
    config: RunConfig,
    comm: Communicator,
    *,
    mode: StartMode = StartMode.NEW,
    shutdown: ShutdownSignal | None = None,
) -> dict | None:
    """Train, score the test hyperedges and write the run's folder. Collective.

    Args:
        shutdown: signals that the run is to be saved and ended.

    Returns: the summary; None if the run was finished before.

    Raises UserError, on every rank, for data, a config or a folder that do not fit; Interrupted
    after an interrupted run was saved.
    """
    shutdown = shutdown or ShutdownSignal()
    with shutdown.raise_on_signal(
        Interrupted("interrupted before training began; nothing is lost")
    ):
        context = start_run(config, comm, mode)
    if context is None:
        if comm.rank == 0:
            summary = FitFolder(config.run).summary
            done = f"{config.run} is finished already; its summary: {summary}"
            console.print(done, markup=False, soft_wrap=True)
        return None
    try:
        return _train(config, context, shutdown)
    finally:
        context.run.unlock()


def _train(config: RunConfig, context: FitContext, shutdown: ShutdownSignal) -> dict:
    """Train to the end and return the summary; raises Interrupted after the run was saved."""
    run, split, model, progress = context
    comm, trainer = model.comm, model.trainer
    if comm.rank == 0:
        write = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        write(f"{split.train}\n{model.placement}")
        if split.num_left_out:
            write(_left_out(split))
    shutdown.on_signal(trainer.request_stop)
    checkpoints = CheckpointWriter(run.checkpoint, trainer, config.checkpoint.every)
    with recording(model, run) as on_event:
        model.fit(on_event, on_progress=checkpoints, progress=progress)
        if model.stopped == INTERRUPTED:
            raise Interrupted(
                f"interrupted after iteration {trainer.iterations} and saved; "
                f"resume with: {run.resume_command}"
            )
        cut_short = Interrupted(f"interrupted while scoring; resume with: {run.resume_command}")
        if any(comm.all_gather_object(shutdown.received)):  # after the last exchange
            raise cut_short
        with shutdown.raise_on_signal(cut_short):
            return _finish(context)


def _left_out(split: Split) -> str:
    """A message on hyperedges that are in several parts of a given split."""
    return (
        f"left out of training or validation: {split.num_left_out:,} hyperedges of "
        f"'{split.relation}' that are also in a later part of the given split"
    )


def _finish(context: FitContext) -> dict:
    """Write the model, score the test hyperedges and write the summary. Collective."""
    run, split, model, _ = context
    model.save(run.model)  # after which all ranks have the factors
    summary = {
        "stopped": model.stopped,
        "iterations": model.trainer.iterations,
        "placement": {name: str(slot) for name, slot in model.placement.slots.items()},
        "valid": model.best,
        "test": run_on_rank0(model.comm, lambda: model.evaluate("test"))
        if split.test.num_hyperedges
        else {},
    }
    if split.num_left_out:
        summary["num_left_out"] = split.num_left_out
    run_on_rank0(model.comm, lambda: run.write_summary(summary))
    return summary


def open_run(path: Path) -> HyperLearn:
    """The model of a run, with its data; raises UserError if there is no run, or no model yet."""
    run = FitFolder(path)
    run.check_learned()
    return HyperLearn.load(run.model, load_split(run.config().data))
