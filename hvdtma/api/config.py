"""Load a training config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from hvdtma.api.arguments import FilePath, names_arguments
from hvdtma.core.config import Given, load_as
from hvdtma.core.files import expanded
from hvdtma.core.train_config import TrainConfig


@names_arguments
def load_config(
    config: FilePath | Mapping[str, Any] | TrainConfig | None = None, **overrides: Any
) -> TrainConfig:
    """A training config, with every value checked.

        hvdtma.load_config("configs/paper.yaml", rounds=20, model={"hidden": 64})
        hvdtma.load_config(store="graph.zarr", run="runs/mine", **{"optimizer.lr": 0.01})

    Args:
        config: a YAML file, nested values, another config, or None for the defaults.
        overrides: keys of the config. The value of a group such as `model` is a mapping of the
            keys to change; a key within a group can also be written with a dot.

    Raises UserError for an unreadable file, an unknown key (the valid ones are listed, the nearest
    is suggested), a wrong type or an impossible value.
    """
    return load_as(TrainConfig, as_given(config), overrides)


def as_given(config: FilePath | Mapping[str, Any] | TrainConfig | None) -> Given:
    """A config with any kind of path as a `Path`."""
    return expanded(config) if isinstance(config, str | os.PathLike) else config
