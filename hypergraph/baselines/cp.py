"""Plain CP: the same factorisation and loss, without graphs, features or diffusion."""

from __future__ import annotations

from dataclasses import replace

from hypergraph.config import HyperLearnConfig
from hypergraph.data import Modality, MultimodalHypergraph


def without_context(data: MultimodalHypergraph) -> MultimodalHypergraph:
    """The hypergraph without features and graphs."""
    bare = {m.name: Modality(m.name, m.num_items, m.ids) for m in data.modalities.values()}
    return replace(data, modalities=bare)


def cp_config(config: HyperLearnConfig) -> HyperLearnConfig:
    """The config without features, diffusion and smoothness."""
    model = config.model.model_copy(update={"steps": 0, "features": False})
    loss = config.loss.model_copy(update={"smoothness": 0.0})
    return config.model_copy(update={"model": model, "loss": loss})
