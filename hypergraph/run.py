"""A run from config to summary; `hypergraph.run_folder` says what is in its folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from hvdtma.comm.communicator import Communicator, on_root
from hvdtma.console import console
from hvdtma.errors import Interrupted
from hvdtma.files import append_json, write_json
from hvdtma.interrupt import Interrupt
from hvdtma.train.folder import Beginning
from hypergraph.begin import Begun, begin
from hypergraph.config import RunConfig
from hypergraph.learn import HyperLearn
from hypergraph.load import load_split
from hypergraph.run_folder import RunFolder
from hypergraph.train.checkpoint import Saver
from hypergraph.train.fit import INTERRUPTED

SHOWN = ("mrr", "hits@10", "average_precision", "rmse", "mae")


def train_run(
    config: RunConfig,
    comm: Communicator,
    *,
    beginning: Beginning = Beginning.NEW,
    interrupt: Interrupt | None = None,
) -> dict | None:
    """Train, score on the test hyperedges and write everything down; a collective call.

    The summary, or None if the run was over before.

    Args:
        interrupt: hears when to save and end.

    Raises UserError, on every rank, for what does not fit; Interrupted once it is saved.
    """
    interrupt = interrupt or Interrupt()
    with interrupt.at_once(Interrupted("interrupted before training began; nothing is lost")):
        begun = begin(config, comm, beginning)
    if begun is None:
        if comm.rank == 0:
            summary = RunFolder(config.run).summary
            over = f"{config.run} is over; its summary: {summary}"
            console.print(over, markup=False, soft_wrap=True)
        return None
    try:
        _train(config, begun, interrupt)
        cut_short = Interrupted(f"interrupted while scoring; go on with: {_next(begun.run)}")
        if any(comm.gather(interrupt.asked)):  # told after all had met for the last time
            raise cut_short
        with interrupt.at_once(cut_short):
            return _finish(begun)
    finally:
        begun.run.let_go()


def _train(config: RunConfig, begun: Begun, interrupt: Interrupt) -> None:
    """Train to the end, or raise Interrupted when all that is needed to go on is saved."""
    run, split, model, progress = begun
    comm, learner = model.comm, model.learner
    if comm.rank == 0:
        console.print(f"{split.train}\n{model.placement}", markup=False, highlight=False)
    interrupt.tell(learner.stop)
    save = Saver(run.checkpoint, learner, config.checkpoint.every)
    with _board(run, learner.iterations) if comm.rank == 0 else nullcontext() as board:
        model.fit(lambda event: _record(run, board, event), save=save, progress=progress)
    if model.stopped == INTERRUPTED:
        raise Interrupted(
            f"interrupted after iteration {learner.iterations} and saved; go on with: {_next(run)}"
        )


def _board(run: RunFolder, iterations: int) -> SummaryWriter:
    """Curves, without what a run that was cut short drew after so many iterations."""
    return SummaryWriter(str(run.path / "tensorboard"), purge_step=iterations + 1)


def _next(run: RunFolder) -> str:
    """The command that goes on with a run."""
    return f"{run.maker} --resume {run.path}"


def _finish(begun: Begun) -> dict:
    """Write what was learned, test it, and sum up; a collective call."""
    run, split, model, _ = begun
    model.save(run.model)
    summary = {
        "stopped": model.stopped,
        "iterations": model.learner.iterations,
        "placement": {name: str(site) for name, site in model.placement.sites.items()},
        "valid": model.best,
        "test": model.evaluate("test") if split.test.num_hyperedges else {},
    }
    on_root(model.comm, lambda: write_json(run.summary, summary))
    return summary


def open_run(path: Path) -> HyperLearn:
    """The model of a run, with its data; raises UserError if there is none."""
    run = RunFolder(path)
    run.check_there()
    return HyperLearn.load(run.model, load_split(run.config().data))


def _record(run: RunFolder, board: SummaryWriter | None, event: dict) -> None:
    append_json(run.metrics, event)
    words = [f"iteration {event['iteration']}: {event['time_s']:.1f} s, loss {event['loss']:.4f}"]
    words += [f"{name} {event['valid'][name]:.4f}" for name in SHOWN if name in event["valid"]]
    console.print(", ".join(words), markup=False, highlight=False, soft_wrap=True)
    if board is not None:
        board.add_scalar("loss", event["loss"], event["iteration"])
        for name, value in event["valid"].items():
            board.add_scalar(f"valid/{name}", value, event["iteration"])
