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
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.asked_types import ScoredTypes, number_of_type
from hvdtma.evaluation.best_model import BestModel
from hvdtma.evaluation.budget import ScoringBudget, embedding_requirement, scratch_bytes
from hvdtma.evaluation.embeddings import NodeEmbeddings
from hvdtma.evaluation.scratch import check_scratch
from hvdtma.graph.ids.known import KnownIds
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

    def known_ids(self, node_type: int | None) -> KnownIds:
        """The ids of a node type, by which its nodes are found; None: of all nodes."""
        schema = self.store.schema
        if schema is None or node_type is None:
            return KnownIds(self.ids)
        if node_type not in self._known:
            nodes = self.nodes_of(node_type)
            name = schema.node_types[node_type]
            self._known[node_type] = KnownIds(self.ids.take(nodes), nodes, name)
        return self._known[node_type]

    def nodes_of(self, node_type: int | None) -> np.ndarray:
        """The nodes of a type, ascending; None: all nodes."""
        schema = self.store.schema
        if schema is None or node_type is None:
            return np.arange(self.store.num_nodes)
        return self.store.layout.nodes(node_type, np.arange(schema.sizes[node_type]))

    @cached_property
    def _known(self) -> dict[int, KnownIds]:
        return {}

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
        if self.scored_types is not None:
            pairs = self.scored_types.as_learned(pairs)
        return task.score_pairs(self.model, pairs, self.embeddings)

    def predict(self, nodes: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """Columns by name for some nodes at a time; raises UserError if the task has none."""
        task = predicts_nodes(self.task, self.config.task.name)
        for start in range(0, len(nodes), NODES_AT_ONCE):
            some = nodes[start : start + NODES_AT_ONCE]
            yield task.predict_nodes(self.model, some, self.embeddings)

    @cached_property
    def scored_types(self) -> ScoredTypes | None:
        """The edge types of a typed graph that the model scores; None without node types."""
        return ScoredTypes.of(self.task, self.store.schema, str(self.store.path))

    def type_number(self, name: str | None) -> int | None:
        """The number of an edge type that can be scored; None for a graph without types.

        Raises UserError for another type, and if several can be meant and none is named.
        """
        if self.scored_types is not None:
            return self.scored_types.number(name)
        return number_of_type(name, list(self.store.edge_type_names), str(self.store.path))

    def end_types(self, type_number: int | None) -> tuple[int | None, int | None]:
        """The node types of the sources and destinations of an edge type; None without types."""
        schema = self.store.schema
        if schema is None or type_number is None:
            return None, None
        src, dst = schema.ends[type_number].tolist()
        return src, dst
