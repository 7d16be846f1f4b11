"""Scores models on the validation or test part of a store."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import ScoringBudget, scoring_requirement
from hvdtma.evaluation.embeddings import SAMPLE_SEED, NodeEmbeddings
from hvdtma.graph.store import GraphStore
from hvdtma.tasks import Model, Task, make_task

PARTS = ("valid", "test")


def check_held_out(task: Task, store: GraphStore) -> None:
    """Raises UserError if a store has no validation or test part for a task."""
    for part in PARTS:
        if not task.num_held_out(part):
            raise UserError(
                f"{store.path} has no {part} {task.unit} to score on; build it with a split"
            )


class Scorer:
    """Scores models on one store. Reads the held-out links or nodes once, in the constructor.

    Raises UserError if the store has no validation or test part, or if `memory_gb` is too small.
    """

    def __init__(self, config: TrainConfig, store: GraphStore, device: torch.device | None = None):
        self.config, self.store = config, store
        self.device = device or torch.device("cpu")
        self.task = make_task(config, store)
        check_held_out(self.task, store)
        self.requirement = scoring_requirement(config, store)
        self.budget = ScoringBudget.of(config, self.requirement)
        self.held_out = {part: self._read(part) for part in PARTS}

    def _read(self, part: str) -> Any:
        """The held-out items of a part to score: all, or a fixed sample."""
        total, limit = self.task.num_held_out(part), self.task.max_scored(part)
        chosen = None
        if 0 < limit < total:
            rng = np.random.default_rng(SAMPLE_SEED)
            chosen = np.sort(rng.choice(total, limit, replace=False))
        return self.task.read_held_out(part, chosen)

    @torch.no_grad()
    def __call__(self, model: Model, part: str) -> dict[str, float]:
        """Every metric of the task on the part `valid` or `test`."""
        was_training = model.training
        model.eval()
        embeddings = NodeEmbeddings(
            self.config, self.store, model, self.requirement, self.budget, self.device
        )
        metrics = self.task.score(model, self.held_out[part], embeddings)
        model.train(was_training)
        return metrics
