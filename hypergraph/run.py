"""A run in a folder: what it was, how it went, what was learned.

config.yaml          the whole config               versions.json   versions, git, command
metrics.jsonl        one event per line             tensorboard/    the same as curves
model.safetensors    what was learned               summary.json    scores, where it was trained
items.json           what a report draws            report.html     what a person opens
"""

from __future__ import annotations

import shutil
from pathlib import Path

from hvdtma.comm.communicator import Communicator, on_root
from hvdtma.config import dump_config, load_as
from hvdtma.console import console
from hvdtma.errors import UserError
from hvdtma.files import write_json
from hvdtma.train.run_folder import versions
from hypergraph.config import RunConfig
from hypergraph.learn import HyperLearn
from hypergraph.load import load_split
from hypergraph.recorder import recording

CONFIG, METRICS, SUMMARY = "config.yaml", "metrics.jsonl", "summary.json"
MODEL = "model.safetensors"


def train_run(config: RunConfig, comm: Communicator, *, overwrite: bool = False) -> dict:
    """Train, score on the test hyperedges and write everything down; a collective call.

    Raises UserError, on every rank, for what does not fit.
    """
    split = load_split(config.data)
    model = HyperLearn(split, config, comm=comm)
    if config.warm_start is not None:
        model.begin_with(config.warm_start / MODEL)
    on_root(comm, lambda: _make(config, overwrite=overwrite))
    if comm.rank == 0:
        console.print(f"{split.train}\n{model.placement}", markup=False, highlight=False)
    with recording(model, config.run) as watch:
        model.fit(watch)
        model.save(config.run / MODEL)
        summary = {
            "stopped": model.stopped,
            "iterations": model.learner.iterations,
            "placement": {name: str(site) for name, site in model.placement.sites.items()},
            "valid": model.best,
            "test": model.evaluate("test") if split.test.num_hyperedges else {},
        }
        on_root(comm, lambda: write_json(config.run / SUMMARY, summary))
    return summary


def open_run(path: Path) -> HyperLearn:
    """The model of a run, with its data; raises UserError if there is none."""
    if not (path / CONFIG).is_file():
        raise UserError(f"no run at {path} (no {CONFIG}); python -m hypergraph train makes one")
    config = load_as(RunConfig, path / CONFIG)
    return HyperLearn.load(path / MODEL, load_split(config.data))


def _make(config: RunConfig, *, overwrite: bool) -> None:
    run = config.run
    if run.exists() and any(run.iterdir()):
        if not overwrite:
            raise UserError(f"{run} exists; give --overwrite to replace it, or run=ANOTHER")
        if not (run / METRICS).exists():
            raise UserError(f"{run} exists and is no run; --overwrite will not remove it")
        shutil.rmtree(run)
    run.mkdir(parents=True, exist_ok=True)
    (run / METRICS).touch()
    dump_config(config, run / CONFIG)
    write_json(run / "versions.json", versions())
