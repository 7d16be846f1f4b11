"""Plain CP: the same factorisation and loss, without graphs, features or diffusion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hypergraph.config import TrainConfig
from hypergraph.data import Modality, MultimodalHypergraph, Relation
from hypergraph.train.learner import Factors


def without_context(data: MultimodalHypergraph) -> MultimodalHypergraph:
    """The same relations between the same items, of which nothing else is known."""
    bare = {m.name: Modality(m.name, m.num_items, m.ids) for m in data.modalities.values()}
    return replace(data, modalities=bare)


def cp_config(config: TrainConfig) -> TrainConfig:
    """The config, for factors alone."""
    model = config.model.model_copy(update={"steps": 0, "features": False})
    loss = config.loss.model_copy(update={"smoothness": 0.0})
    return config.model_copy(update={"model": model, "loss": loss})


def mean_for_unseen(factors: Factors, train: MultimodalHypergraph) -> Factors:
    """The factors, in which items without a hyperedge to train on are their modality's mean.

    Such an item was only ever a corrupted one: its row is what it began as, pushed down. The mean
    of the others' rows, and of their biases in a relation, says as little of it as is known.
    """
    rows = dict(factors.rows)
    biases = {relation: dict(of) for relation, of in factors.biases.items()}
    for name in train.modalities:
        relations = train.relations_of(name)
        seen_N = np.any([_seen(train, relation, name) for relation in relations], axis=0)
        rows[name] = np.where(seen_N[:, None], rows[name], rows[name][seen_N].mean(0))
        for relation in relations:
            seen_N, bias_N = _seen(train, relation, name), biases[relation.name][name]
            biases[relation.name][name] = np.where(seen_N, bias_N, bias_N[seen_N].mean())
    return Factors(rows, biases)


def _seen(train: MultimodalHypergraph, relation: Relation, name: str) -> np.ndarray:
    seen_N = np.zeros(train.modality(name).num_items, bool)
    seen_N[relation.column(name)] = True
    return seen_N
