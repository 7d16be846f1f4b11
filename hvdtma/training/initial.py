"""Initial parameters from another run, or from a pretrained model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape

from hvdtma.core.config import flattened
from hvdtma.core.console import console, warn
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.store import GraphStore
from hvdtma.runs.pretrained import is_pretrained, read_pretrained
from hvdtma.runs.run_folder import RunFolder, read_tensors
from hvdtma.runs.trained_graph import OLDER, same_features
from hvdtma.tasks import Model, Task

ENCODER = "encoder."


@dataclass(frozen=True)
class InitialParameters:
    """The parameters of a trained model, and the record of its graph.

    Attributes:
        text: their origin, for messages.
        read_config: reads the config of the trained model.
    """

    text: str
    tensors: Mapping[str, torch.Tensor]
    record: Mapping[str, Any]
    read_config: Callable[[], TrainConfig]


def read_initial(path: Path) -> InitialParameters:
    """Read the parameters of a run's best round, or of a pretrained model.

    Raises UserError if `path` is neither, or damaged.
    """
    if is_pretrained(path):
        folder = read_pretrained(path)
        file, record, text = folder.parameters, folder.facts["graph"], f"the model {path}"
        read_config: Callable[[], TrainConfig] = partial(getattr, folder, "config")
    else:
        run = RunFolder(path)
        if not run.config_file.is_file():
            raise UserError(
                f"init is {path}, which is no run and no pretrained model (a folder of "
                "Run.save_pretrained)"
            )
        file, scored = run.best_or_newest()
        record, read_config = run.trained_graph(), run.config
        text = f"the run {path}, of its {'best' if scored else 'newest'} round"
    return InitialParameters(text, read_tensors(file)[0], {**OLDER, **record}, read_config)


def load_initial(
    model: Model, task: Task, config: TrainConfig, store: GraphStore, *, quiet: bool = False
) -> None:
    """Give a model the parameters of `init`, if it is set. The head may keep some of its own.

    Prints the parts of the head that start anew, and warns of features of another meaning.

    Raises UserError if `init` cannot be read, or has another encoder.
    """
    if config.init is None:
        return
    initial = read_initial(config.init)
    own = model.state_dict()
    _check_encoder(own, initial, config, store)
    other_labels = list(initial.record["label_names"]) != list(store.label_names)
    anew = [
        name
        for name, value in own.items()
        if not name.startswith(ENCODER)
        and (
            name not in initial.tensors
            or initial.tensors[name].shape != value.shape
            or (task.needs_labels and other_labels)
        )
    ]
    taken = {name: initial.tensors[name] for name in own if name not in anew}
    model.load_state_dict(taken, strict=False)
    if not quiet:
        _say(initial, anew, len(own), store)


def _check_encoder(
    own: Mapping[str, torch.Tensor],
    initial: InitialParameters,
    config: TrainConfig,
    store: GraphStore,
) -> None:
    """Raise UserError unless both encoders have the same parameters."""
    features = initial.record.get("features") or {}
    dim = features.get("dim", store.feature_dim)
    if dim != store.feature_dim:
        raise UserError(
            f"init: {initial.text}, reads {dim} features, {store.path} has {store.feature_dim}; "
            "build the store with --features-like the store of that run"
        )
    ours, theirs = (
        {name: list(value.shape) for name, value in tensors.items() if name.startswith(ENCODER)}
        for tensors in (own, initial.tensors)
    )
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name):
            raise UserError(
                f"init: {initial.text}, has another encoder: {name} is "
                f"{theirs.get(name, 'not there')} and here {ours.get(name, 'not there')}; set "
                + _settings_of_encoder(initial.read_config(), config)
            )


def _settings_of_encoder(theirs: TrainConfig, ours: TrainConfig) -> str:
    """The settings that differ, as they are in the config of the other model."""
    other, own = (
        flattened({"model": each.model.model_dump(mode="json"), "first_hop": each.first_hop})
        for each in (theirs, ours)
    )
    differing = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in other.items()
        if own.get(key) != value
    ]
    return " ".join(differing) or "the keys of `model` as in the config of that run"


def _say(initial: InitialParameters, anew: list[str], total: int, store: GraphStore) -> None:
    text = f"init: {total - len(anew)} of {total} tensors are from {initial.text}"
    if anew:
        text += f"; {', '.join(anew)} start anew"
    console.print(escape(text), soft_wrap=True)
    before, now = initial.record.get("features"), store.features
    if before and now and not same_features(before, now):
        warn(
            f"warning: the features of {store.path} lie on other axes than those of {initial.text};"
            " build it with --features-like to keep their meaning"
        )
    types = list(initial.record["edge_type_names"])
    if types and types != list(store.edge_type_names):
        warn(
            f"warning: the edge types of {store.path} are not those of {initial.text}; parameters "
            "per type go by the number of a type, where there are as many"
        )
