"""An optimiser's state as named tensors and plain numbers, and back."""

from __future__ import annotations

from typing import Any

import torch

PREFIX = "optimizer"


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict]:
    """State per parameter: tensors as `optimizer.PARAMETER.NAME`, numbers by the same names."""
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {}
    for parameter, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            kept: dict = tensors if torch.is_tensor(value) else numbers
            kept[f"{PREFIX}.{parameter}.{name}"] = value
    return tensors, numbers


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]
) -> None:
    """Give an optimiser of the same parameters its state back; learning rates stay its own."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *numbers.items()]:
        if key.startswith(f"{PREFIX}."):
            _, parameter, name = key.split(".", 2)
            state.setdefault(int(parameter), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
