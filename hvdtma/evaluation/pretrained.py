"""Writes the best model of a run as a pretrained model, and loads one.

Legend: n pairs or nodes, H width of embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.best_model import BestModel, load_best, warn_of_other_graph
from hvdtma.evaluation.model_card import model_card
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.store import GraphStore
from hvdtma.runs.pretrained import check_replaceable, read_pretrained, write_pretrained
from hvdtma.runs.run_folder import RunFolder, read_model
from hvdtma.runs.trained_graph import OLDER, check_features, check_outputs
from hvdtma.tasks import Model, Task, make_model, make_task

Result = TypeVar("Result")


@dataclass(frozen=True)
class LoadedModel:
    """A pretrained model.

    Attributes:
        model: in eval mode.
        task: on a graph that is not there: it reads no arrays.
        facts: `graph`, `feature_dim`, `round`, `metrics`, `licence`.
    """

    path: Path
    model: Model
    config: TrainConfig
    task: Task
    facts: dict[str, Any]

    def on(self, store: GraphStore, *, scored: bool = False) -> BestModel:
        """The model with a store, without a memory limit.

        Args:
            scored: whether the store is used to score the model. If not, it may lack labels.

        Raises UserError if the features or the outputs mean other things.
        """
        record, where = {**OLDER, **self.facts["graph"]}, f"the graph of {self.path}"
        check_outputs(record, store, where, may_lack_labels=not scored)
        check_features(record, store, where, "the store that the model was trained on")
        if store.feature_dim != self.facts["feature_dim"]:
            raise UserError(
                f"{store.path} has {store.feature_dim} features, the model of {self.path} reads "
                f"{self.facts['feature_dim']}"
            )
        if scored and record["graph"] != store.graph:
            warn_of_other_graph(store)
        config = self.config.model_copy(update={"memory_gb": None, "store": store.path})
        task = make_task(config, GraphSizes.of(store).as_trained(record))
        return BestModel(self.model, config, store, self.facts["round"], task)


class GivenEmbeddings:
    """Embeddings that are given; see `hvdtma.tasks.task.Embeddings`."""

    max_nodes: int | None = None
    device: torch.device = torch.device("cpu")

    def __init__(self, h_nH: np.ndarray):
        self.h_nH = h_nH

    def __call__(self, nodes: np.ndarray) -> np.ndarray:
        return self.h_nH[nodes]

    def mapped(
        self, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See `hvdtma.tasks.task.Embeddings`."""
        return function(torch.from_numpy(self.h_nH)).numpy().__getitem__

    def in_pieces(
        self, number: int, step: int, make: Callable[[slice], Result]
    ) -> Iterator[Result]:
        """See `hvdtma.tasks.task.Embeddings`."""
        for start in range(0, number, step):
            yield make(slice(start, min(start + step, number)))


def save_run(run: RunFolder, path: Path, *, licence: str | None, overwrite: bool) -> Path:
    """Write the model of a run's best round to a folder, and return the folder."""
    check_replaceable(path, overwrite=overwrite)
    best = load_best(run.path, scored=False)
    facts = _facts(run, best, licence)
    card = model_card(best.config, facts, sum(p.numel() for p in best.model.parameters()))
    tensors = best.model.state_dict()
    write_pretrained(path, best.config, tensors, facts, card, overwrite=overwrite)
    return path


def _facts(run: RunFolder, best: BestModel, licence: str | None) -> dict[str, Any]:
    summary = run.read_summary()
    of_best = summary.get("best_round") == best.round
    return {
        "graph": run.trained_graph(),
        "feature_dim": best.store.feature_dim,
        "num_nodes": best.store.num_nodes,
        "num_edges": best.store.num_edges,
        "first_hop": best.config.first_hop,
        "round": best.round,
        "metrics": {part: summary[part] for part in ("valid", "test") if of_best},
        "licence": licence,
    }


def load_pretrained(path: Path) -> LoadedModel:
    """Load a pretrained model; raises UserError for another format and for damage."""
    folder = read_pretrained(path)
    config, facts = folder.config, folder.facts
    nothing = GraphSizes(
        path=path,
        num_nodes=0,
        num_edges=0,
        undirected=False,
        feature_dim=facts["feature_dim"],
        feature_dtype=np.dtype(np.float32),
        num_blocks=0,
        num_units=0,
        largest_unit=0,
        arrays=frozenset({"first_hop"}),
    )
    sizes = nothing.as_trained({**OLDER, **facts["graph"]})
    task = make_task(config, sizes)
    model = make_model(config, sizes, task)
    read_model(folder.parameters, model)
    return LoadedModel(path, model.eval(), config, task, facts)
