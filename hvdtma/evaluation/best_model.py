"""A run's best model, found again."""

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


@dataclass(frozen=True)
class BestModel:
    """The best round's model with what it was trained by and on."""

    model: Model
    config: TrainConfig
    store: GraphStore
    round: int


def load_best(path: Path, store_path: Path | None = None) -> BestModel:
    """The best round of a run, on the run's store or another of the same features.

    Where none was scored yet, the newest round, which is said; so is another graph than the run
    was trained on. Raises UserError if the run has no round, its own store was built anew (what it
    holds out may have been trained on), or the store does not fit.
    """
    run = RunFolder.open(path)
    config = run.config()
    store = open_store(store_path or config.store)
    if not run.check_store(store):
        if store_path is None:
            raise UserError(
                f"{store.path} is not the graph that {path} was trained on any more; what it "
                f"holds out may have been trained on. To use it nonetheless: --store {store.path}"
            )
        console.print(
            f"[yellow]{escape(str(store.path))} is another graph, or another split, than the "
            "run's: what it holds out may have been trained on"
        )
    parameters = run.best
    if not parameters.is_file():
        if not run.round_files():
            raise UserError(f"{path} has no round yet")
        parameters = run.round_files()[-1]
        console.print(f"[yellow]no round was scored yet; taken is the newest, {parameters.stem}")
    model = make_model(config, store, make_task(config, store))
    facts = read_model(parameters, model)
    return BestModel(model, config, store, int(facts["round"]))
