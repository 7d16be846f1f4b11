"""Tasks by name, and their models."""

from __future__ import annotations

import torch

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.models.encoder import Encoder
from hvdtma.tasks.links import LinkTask
from hvdtma.tasks.nodes import NodeTask
from hvdtma.tasks.task import Model, Task


def make_task(config: TrainConfig, store: GraphFacts) -> Task:
    """The config's task on a store; raises UserError if the store lacks what it needs."""
    if config.first_hop and "first_hop" not in store:
        raise UserError(
            f"first_hop is on, but {store.path} was built without; "
            "set first_hop=false, or build it again with --first-hop"
        )
    return LinkTask(config, store) if config.task.name == "links" else NodeTask(config, store)


def make_model(config: TrainConfig, store: GraphFacts, task: Task) -> Model:
    """A model with its initial parameters, a pure function of the config's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(config.model, store.feature_dim, first_hop=config.first_hop)
        return Model(encoder, task.make_head(encoder.out_dim))
