"""Embeddings of nodes as scoring asks for them: of all nodes at once, or sampled when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from hvdtma.core.memory import MemoryRequirement, trim_memory
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import ScoringBudget
from hvdtma.evaluation.embed import embed
from hvdtma.evaluation.sampled import TooWide, embed_sampled, neighbourhood_bytes
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import gather
from hvdtma.models import sampled_fanouts
from hvdtma.tasks import Model

SAMPLE_SEED = 0  # of the sampled neighbours, and of the held-out items that are scored
SAMPLED_BYTES = 2 << 30  # of one pass over the store, where memory is not limited

Made = TypeVar("Made")


class NodeEmbeddings:
    """The embeddings of a model's nodes; see `hvdtma.tasks.task.Embeddings`.

    Every node is embedded at once, unless `evaluate.sample` is set: then only the nodes that are
    asked for, from sampled neighbours.

    Args:
        requirement, budget: memory of scoring.
    """

    def __init__(
        self,
        config: TrainConfig,
        store: GraphStore,
        model: Model,
        requirement: MemoryRequirement,
        budget: ScoringBudget,
        device: torch.device,
    ):
        self.config, self.store, self.model, self.device = config, store, model, device
        self.requirement, self.budget = requirement, budget
        trim_memory()  # memory that a shard or an earlier score has freed
        if config.evaluate.sample:
            node_bytes = neighbourhood_bytes(config, store, 1)
            limit = min(budget.num_bytes, SAMPLED_BYTES)
            self.max_nodes: int | None = max(limit // node_bytes, 1)
            return
        self._rows = embed(model, store, device=device, budget=budget)
        self.max_nodes = None
        if not isinstance(self._rows, np.ndarray):
            self.max_nodes = max(budget.num_bytes // (16 * self._rows.shape[1]), 1)

    def __call__(self, nodes: np.ndarray) -> np.ndarray:
        if not self.config.evaluate.sample:
            return gather(self._rows, nodes)
        return embed_sampled(
            self.model,
            self.store,
            nodes,
            sampled_fanouts(self.config),
            seed=SAMPLE_SEED,
            device=self.device,
            limit_bytes=self.budget.num_bytes,
        )

    def in_pieces(self, number: int, step: int, make: Callable[[slice], Made]) -> Iterator[Made]:
        """See `hvdtma.tasks.task.Embeddings`.

        Raises UserError that names the least `memory_gb`, where a single item does not fit.
        """
        start = 0
        while start < number:
            here = slice(start, min(start + step, number))
            try:
                made = make(here)
            except TooWide as error:
                step = (here.stop - start) // 2
                if step:
                    continue
                needed = replace(self.requirement, work_bytes=error.needed_bytes)
                assert self.config.memory_gb is not None  # without a limit nothing is too wide
                raise needed.too_small(self.config.memory_gb) from None
            yield made
            start = here.stop
