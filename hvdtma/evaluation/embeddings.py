"""Embeddings for scoring: of all nodes in advance, or of a sample on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from hvdtma.core.memory import MemoryRequirement, trim_memory
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import ROWS_AT_ONCE, ScoringBudget
from hvdtma.evaluation.embed import embed
from hvdtma.evaluation.sampled import NeighbourhoodTooLarge, embed_sampled, neighbourhood_bytes
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stored_rows import gather
from hvdtma.models import sampled_fanouts
from hvdtma.tasks import Model

SAMPLE_SEED = 0  # for sampled neighbours, and for the sample of held-out items
SAMPLED_BYTES = 2 << 30  # memory of one pass over the store if `memory_gb` is not set

Result = TypeVar("Result")


class NodeEmbeddings:
    """The embeddings of a model's nodes; see `hvdtma.tasks.task.Embeddings`.

    All nodes are embedded in the constructor. If `evaluate.sample` is set, only the requested nodes
    are embedded, from sampled neighbours.

    Args:
        requirement, budget: memory requirement and memory budget of scoring.
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
        trim_memory()  # the memory of a shard or of an earlier score
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

    @property
    def work_bytes(self) -> int:
        """The memory beside the embeddings of all nodes."""
        kept = self._rows.nbytes if isinstance(self._rows, np.ndarray) else 0
        return self.budget.num_bytes - kept

    def mapped(
        self, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """See `hvdtma.tasks.task.Embeddings`."""
        if self.config.evaluate.sample or not isinstance(self._rows, np.ndarray):
            return None
        out = None
        for start in range(0, len(self._rows), ROWS_AT_ONCE):
            rows = torch.from_numpy(self._rows[start : start + ROWS_AT_ONCE]).to(self.device)
            values = function(rows).float().cpu().numpy()
            if out is None:
                if 4 * len(self._rows) * values.shape[1] > self.work_bytes:
                    return None
                out = np.empty((len(self._rows), values.shape[1]), np.float32)
            out[start : start + len(values)] = values
        return None if out is None else out.__getitem__

    def in_pieces(
        self, number: int, step: int, make: Callable[[slice], Result]
    ) -> Iterator[Result]:
        """See `hvdtma.tasks.task.Embeddings`.

        Raises UserError, with the least `memory_gb`, if a single item does not fit in memory.
        """
        start = 0
        while start < number:
            piece = slice(start, min(start + step, number))
            try:
                result = make(piece)
            except NeighbourhoodTooLarge as error:
                step = (piece.stop - start) // 2
                if step:
                    continue
                needed = replace(self.requirement, work_bytes=error.needed_bytes)
                assert self.config.memory_gb is not None  # nothing is too large without a limit
                raise needed.too_small(self.config.memory_gb) from None
            yield result
            start = piece.stop
