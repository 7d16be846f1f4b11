"""Converts an optimizer's state to named tensors and numbers, and back."""

from __future__ import annotations

from typing import Any

import torch

PREFIX = "optimizer"
STATE_VALUES = {"adam": 2, "adamw": 2, "novograd": 1, "sgd": 1}  # of an optimizer per parameter


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict]:
    """The state of each parameter: tensors and numbers, both named `optimizer.PARAMETER.NAME`."""
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {}
    for parameter, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            values: dict = tensors if torch.is_tensor(value) else numbers
            values[f"{PREFIX}.{parameter}.{name}"] = value
    return tensors, numbers


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]
) -> None:
    """Restore the state of an optimizer of the same parameters. Its learning rates are kept."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *numbers.items()]:
        if key.startswith(f"{PREFIX}."):
            _, parameter, name = key.split(".", 2)
            state.setdefault(int(parameter), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
