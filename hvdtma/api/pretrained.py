"""Pretrained models: a folder that needs neither the run nor its store.

Legend: n pairs or nodes, H width of embeddings.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.api.asking import ModelOnGraph
from hvdtma.core.errors import UserError
from hvdtma.core.files import expanded
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.predictor import Predictor, number_of_type
from hvdtma.evaluation.pretrained import GivenEmbeddings, LoadedModel, load_pretrained
from hvdtma.graph.source import Pairs
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.tasks import Model, predicts_nodes, scores_pairs


@names_arguments
def from_pretrained(folder: FilePath) -> PretrainedModel:
    """Load a model that `Run.save_pretrained` wrote.

        model = hvdtma.from_pretrained("models/npm")
        model.score_embeddings(u, v)              # no graph is needed
        model.on("graph.zarr").topk("lodash")     # a store with the same features

    Raises UserError for a folder of another format or version, and for damaged files.
    """
    return PretrainedModel(load_pretrained(expanded(folder)))


class PretrainedModel:
    """A pretrained model without a graph."""

    def __init__(self, loaded: LoadedModel):
        self._loaded = loaded

    def __repr__(self) -> str:
        return f"PretrainedModel({str(self.path)!r})"

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._loaded.path

    @property
    def model(self) -> Model:
        """An `nn.Module` with `encoder` and `head`, in eval mode."""
        return self._loaded.model

    @property
    def config(self) -> TrainConfig:
        """The config of the run that trained the model; `store` and `run` are the folder."""
        return self._loaded.config

    @property
    def facts(self) -> dict[str, Any]:
        """What `config.json` says: the graph's record, the round, the licence of the data."""
        return self._loaded.facts

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The scores of `valid` and `test` at the end of the run; empty if it was not over."""
        return self._loaded.facts["metrics"]

    @names_arguments
    def on(
        self, store: GraphStore | FilePath, *, memory_gb: float | None = None
    ) -> PretrainedOnGraph:
        """The model with a store of the same features, to be asked as a `Run` is.

        Raises UserError for a store of other features, classes or edge types.
        """
        opened = store if isinstance(store, GraphStore) else open_store(expanded(store))
        return PretrainedOnGraph(self._loaded, opened, memory_gb)

    @names_arguments
    def score_embeddings(
        self, source_nH: np.ndarray, destination_nH: np.ndarray, type: str | None = None
    ) -> np.ndarray:
        """Scores float32 [n] of pairs from the embeddings [n, H] of their ends.

        Args:
            type: the edge type of all pairs, if edges have types.

        Raises UserError for arrays of other shapes, unknown types, and a model of nodes.
        """
        loaded = self._loaded
        task = scores_pairs(loaded.task, loaded.config.task.name)
        ends = [self._rows(end) for end in (source_nH, destination_nH)]
        if len(ends[0]) != len(ends[1]):
            raise UserError(f"there are {len(ends[0])} sources and {len(ends[1])} destinations")
        names, n = list(loaded.facts["graph"]["edge_type_names"]), len(ends[0])
        number = number_of_type(type, names, str(self.path))
        types = None if number is None else np.full(n, number, np.int16)
        pairs = Pairs(np.arange(n), n + np.arange(n), edge_type=types)
        return task.score_pairs(loaded.model, pairs, GivenEmbeddings(np.concatenate(ends)))

    @names_arguments
    def predict_embeddings(self, embedding_nH: np.ndarray) -> pa.Table:
        """The task's columns (see `Run.predict`) from the embeddings [n, H] of nodes.

        Raises UserError for arrays of other shapes, and for a model of links.
        """
        loaded = self._loaded
        task = predicts_nodes(loaded.task, loaded.config.task.name)
        rows = self._rows(embedding_nH)
        columns = task.predict_nodes(loaded.model, np.arange(len(rows)), GivenEmbeddings(rows))
        return pa.table({name: pa.array(values) for name, values in columns.items()})

    def _rows(self, given: Any) -> np.ndarray:
        """Embeddings float32 [n, H]; raises UserError for another shape."""
        rows = np.asarray(given, np.float32)
        width = self.model.encoder.out_dim
        if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
            raise UserError(f"embeddings have shape {list(rows.shape)}; valid: [n, {width}]")
        return rows


class PretrainedOnGraph(ModelOnGraph):
    """A pretrained model with a store, from `PretrainedModel.on`."""

    def __init__(self, loaded: LoadedModel, store: GraphStore, memory_gb: float | None):
        self._loaded, self._store, self._memory_gb = loaded, store, memory_gb
        _ = self.predictor  # a store that does not fit is refused here

    @cached_property
    def predictor(self) -> Predictor:
        """The model, its store and the embeddings."""
        return Predictor.of(self._loaded.on(self._store), self._memory_gb)
