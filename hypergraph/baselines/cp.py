"""Plain CP: the same factorisation and loss, without graphs, features or diffusion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hypergraph.config import TrainConfig
from hypergraph.data import Modality, MultimodalHypergraph
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
    of the rows and biases of the others says as little of it as is known. A modality in no relation
    stays as it is.
    """
    rows, biases = dict(factors.rows), dict(factors.biases)
    for name, modality in train.modalities.items():
        seen_N = np.zeros(modality.num_items, bool)
        for relation in train.relations_of(name):
            seen_N[relation.column(name)] = True
        if seen_N.any():
            rows[name] = np.where(seen_N[:, None], rows[name], rows[name][seen_N].mean(0))
            biases[name] = np.where(seen_N, biases[name], biases[name][seen_N].mean())
    return Factors(rows, biases)
