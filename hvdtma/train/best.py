"""A run's best model, found again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hvdtma.config import TrainConfig
from hvdtma.errors import UserError
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.tasks import Model, make_model, make_task
from hvdtma.train.run_folder import RunFolder, read_model


@dataclass(frozen=True)
class Best:
    """The best round's model with what it was trained by and on."""

    model: Model
    config: TrainConfig
    store: GraphStore
    round: int


def load_best(path: Path, store_path: Path | None = None) -> Best:
    """The best round of a run, on the run's store or another of the same features.

    Raises UserError if the run has no scored round, or the store does not fit.
    """
    run = RunFolder.open(path)
    config = run.config()
    store = open_store(store_path or config.store)
    if not run.best.is_file():
        raise UserError(f"{path} has no best round yet: none was scored")
    model = make_model(config, store, make_task(config, store))
    facts = read_model(run.best, model)
    return Best(model, config, store, int(facts["round"]))
