"""Loads the best model of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.console import console, warn
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.runs.run_folder import RunFolder, read_model
from hvdtma.tasks import Model, Task, make_model, make_task


@dataclass(frozen=True)
class BestModel:
    """The model of a run's best round, the run's config, and the store to use it on.

    Attributes:
        task: the run's task on the sizes of the store; it reads no arrays.
    """

    model: Model
    config: TrainConfig
    store: GraphStore
    round: int
    task: Task


def load_best(path: Path, store_path: Path | None = None, *, scored: bool = True) -> BestModel:
    """Load the model of a run's best round; if no round was scored yet, of the newest round.

    Prints a warning if no round was scored, or if `store_path` is not the graph that the run was
    trained on and is to be scored.

    Args:
        path: the run's folder.
        store_path: a store with the same features; None: the run's store.
        scored: whether the store is used to score the model. If not, it may lack labels.

    Raises UserError if the run has no round, if its store was built anew since (its held-out links
    may have been trained on), or if the store does not fit the model: its features lie on other
    axes, or its classes or edge types are others.
    """
    run = RunFolder.open(path)
    config = run.config()
    store = open_store(store_path or config.store)
    if not run.check_store(store, may_lack_labels=not scored):
        if store_path is None:
            raise UserError(
                f"{store.path} is no longer the graph that {path} was trained on; its held-out "
                f"links may have been trained on. To use it nonetheless: --store {store.path}"
            )
        run.check_features(store)
        if scored:
            warn_of_other_graph(store)
    parameters, has_score = run.best_or_newest()
    if not has_score:
        console.print(f"[yellow]no round was scored yet; using the newest, {parameters.stem}")
    sizes = GraphSizes.of(store).as_trained(run.trained_graph())  # `store` may be of another kind
    task = make_task(config, sizes)
    model = make_model(config, sizes, task)
    facts = read_model(parameters, model)
    return BestModel(model, config, store, int(facts["round"]), task)


def warn_of_other_graph(store: GraphStore) -> None:
    """Print that a store to score on is not the one that the model was trained on."""
    warn(
        f"{store.path} is not the graph, or not the split, that the model was trained on: its "
        "held-out links may have been trained on"
    )
