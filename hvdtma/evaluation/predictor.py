"""A trained model with the graph that it is asked about.

Legend: n pairs or nodes, H width of embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from hvdtma.core.console import stage
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.best_model import BestModel
from hvdtma.evaluation.budget import ScoringBudget, embedding_requirement, scratch_bytes
from hvdtma.evaluation.embeddings import NodeEmbeddings
from hvdtma.evaluation.scratch import check_scratch
from hvdtma.graph.source import Pairs
from hvdtma.graph.store import GraphStore
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tasks import Model, Task, predicts_nodes, scores_pairs

NODES_AT_ONCE = 1 << 16


@dataclass
class Predictor:
    """Predictions of a model for pairs and nodes of a store.

    All nodes are embedded, from all their training neighbours, when the first prediction is asked
    for. The embeddings are kept.

    Attributes:
        config: of the model; its `memory_gb` is the memory limit.
        task: the model's task.
    """

    model: Model
    config: TrainConfig
    store: GraphStore
    task: Task

    @classmethod
    def of(cls, best: BestModel, memory_gb: float | None = None) -> Predictor:
        """A predictor with a memory limit in GiB; None: that of the config."""
        config = best.config
        if memory_gb is not None:
            config = config.model_copy(update={"memory_gb": memory_gb})
        return cls(best.model, config, best.store, best.task)

    def __post_init__(self) -> None:
        self.model.eval()
        sample_of_none = self.config.evaluate.model_copy(update={"sample": 0})
        self.config = self.config.model_copy(update={"evaluate": sample_of_none})

    @cached_property
    def ids(self) -> NodeIds:
        """The ids of all nodes, in memory."""
        return self.store.node_ids()

    @cached_property
    def embeddings(self) -> NodeEmbeddings:
        """The embeddings of all nodes; raises UserError if `memory_gb` is too small."""
        config, store = self.config, self.store
        needed = embedding_requirement(config, store)
        reserved = needed.reserved_bytes + self.ids.values.nbytes
        needed = replace(needed, purpose="predictions", reserved_bytes=reserved)
        budget = ScoringBudget.of(config, needed)
        check_scratch(budget.folder, scratch_bytes(config, store, budget))
        with stage(f"embedding {store.num_nodes:,} nodes"):
            return NodeEmbeddings(config, store, self.model, needed, budget, torch.device("cpu"))

    def score(self, pairs: Pairs) -> np.ndarray:
        """Scores float32 [n] of pairs; raises UserError if the task scores no pairs."""
        task = scores_pairs(self.task, self.config.task.name)
        return task.score_pairs(self.model, pairs, self.embeddings)

    def predict(self, nodes: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Columns by name for some nodes at a time; raises UserError if the task has none."""
        task = predicts_nodes(self.task, self.config.task.name)
        for start in range(0, len(nodes), NODES_AT_ONCE):
            some = nodes[start : start + NODES_AT_ONCE]
            yield task.predict_nodes(self.model, some, self.embeddings)

    def type_number(self, name: str | None) -> int | None:
        """See `number_of_type`."""
        return number_of_type(name, list(self.store.edge_type_names), str(self.store.path))


def number_of_type(name: str | None, names: list[str], where: str) -> int | None:
    """The number of an edge type; None for a graph without types.

    Raises UserError for an unknown type, and if there are several and none is named.
    """
    if name is None:
        if len(names) > 1:
            raise UserError(
                f"{where} has {len(names)} edge types; name one with --type; "
                f"valid: {', '.join(names)}"
            )
        return 0 if names else None
    if not names:
        raise UserError(f"{where} has no edge types; leave out --type {name}")
    if name not in names:
        raise UserError(f"{where} has no edge type '{name}'; {nearest(name, names)}")
    return names.index(name)
