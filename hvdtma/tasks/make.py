"""Makes the config's task and model."""

from __future__ import annotations

import torch
from torch import nn

from hvdtma.core.contract import not_a
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.options import call_with_options
from hvdtma.core.registry import built_in, resolve
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphFacts
from hvdtma.models import (
    check_encoder_fits,
    make_encoder,
    make_typed_encoder,
    sampled_fanouts,
)
from hvdtma.tasks.task import Model, Task, check_task_attributes


def make_task(config: TrainConfig, store: GraphFacts) -> Task:
    """Make the config's task. Raises UserError if the store lacks something that the task needs."""
    check_encoder_fits(config.model, store.schema, store.path)
    _check_sampler_fits(config, store)
    if config.first_hop and "first_hop" not in store:
        raise UserError(
            f"first_hop is on, but {store.path} was built without it; "
            "set first_hop=false, or build it again with --first-hop"
        )
    task: Task = call_with_options("task", config.task.name, config.task.options, config, store)
    check_task_attributes(config.task.name, task)
    metric = config.evaluate.metric
    if metric is not None and metric not in task.metrics:
        raise UserError(
            f"evaluate.metric is '{metric}', which the task '{config.task.name}' does not have on "
            f"{store.path}; {nearest(metric, list(task.metrics))}"
        )
    return task


def model_without_memory(config: TrainConfig, store: GraphFacts, task: Task) -> Model | None:
    """A model whose parameters have shapes and no values, on PyTorch's device `meta`.

    None for a plug-in that cannot be made so: one that reads its initial values.
    """
    try:
        with torch.device("meta"):
            return make_model(config, store, task)
    except (UserError, RuntimeError, TypeError, ValueError):
        return None


def _check_sampler_fits(config: TrainConfig, store: GraphFacts) -> None:
    """Raise UserError for a typed store and a sampler that cannot sample one."""
    sampler = config.sampler.name
    if store.schema is None or getattr(resolve("sampler", sampler), "typed", False):
        return
    fitting = [n for n in built_in("sampler") if getattr(resolve("sampler", n), "typed", False)]
    raise UserError(
        f"{store.path} has node types, which the sampler '{sampler}' does not sample; set "
        f"sampler.name to one of {', '.join(fitting)}, or give the class the attribute typed = True"
    )


def make_model(config: TrainConfig, store: GraphFacts, task: Task) -> Model:
    """Make a model. Its initial parameters are a pure function of the config's seed.

    Raises UserError if the encoder, the decoder or the task does not keep its contract.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if store.schema is None:
            encoder = make_encoder(config.model, store.feature_dim)
        else:
            encoder = make_typed_encoder(config.model, store.schema)
        head = task.make_head(encoder.out_dim)
        if not isinstance(head, nn.Module):
            raise not_a("task", config.task.name, f"its make_head returned {head!r}, no nn.Module")
        return Model(
            encoder,
            head,
            first_hop=config.first_hop,
            num_blocks=len(sampled_fanouts(config)),
        )
