"""Loads the best model of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from hvdtma.core.console import console
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.runs.run_folder import RunFolder, read_model
from hvdtma.tasks import Model, make_model, make_task
from hvdtma.tasks.links import LinkTask


@dataclass(frozen=True)
class BestModel:
    """The model of a run's best round, the run's config, and the store to use it on."""

    model: Model
    config: TrainConfig
    store: GraphStore
    round: int


def load_best(path: Path, store_path: Path | None = None) -> BestModel:
    """Load the model of a run's best round; if no round was scored yet, of the newest round.

    Prints a warning if no round was scored, or if `store_path` is not the graph that the run was
    trained on.

    Args:
        path: the run's folder.
        store_path: a store with the same features; None: the run's store.

    Raises UserError if the run has no round, if its store was built anew since (its held-out links
    may have been trained on), or if the store does not fit the model: its features lie on other
    axes, or its classes or edge types are others.
    """
    run = RunFolder.open(path)
    config = run.config()
    store = open_store(store_path or config.store)
    if not run.check_store(store):
        if store_path is None:
            raise UserError(
                f"{store.path} is no longer the graph that {path} was trained on; its held-out "
                f"links may have been trained on. To use it nonetheless: --store {store.path}"
            )
        run.check_features(store)
        console.print(
            f"[yellow]{escape(str(store.path))} is not the graph, or not the split, that the run "
            "was trained on: its held-out links may have been trained on"
        )
    parameters = run.best
    if not parameters.is_file():
        if not run.round_files():
            raise UserError(f"{path} has no round yet")
        parameters = run.round_files()[-1]
        console.print(f"[yellow]no round was scored yet; using the newest, {parameters.stem}")
    task = make_task(config, store)
    if isinstance(task, LinkTask):  # `store` may be of another kind than the run's
        task.undirected = run.trained_undirected(store)
    model = make_model(config, store, task)
    facts = read_model(parameters, model)
    return BestModel(model, config, store, int(facts["round"]))
