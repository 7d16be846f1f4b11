"""Layers that are not trained, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hvdtma.core.errors import UserError, nearest


def frozen_parameters(model: nn.Module, names: Sequence[str]) -> list[str]:
    """The names of the parameters that `names` stand for.

    Args:
        names: of parameters, or of modules: the beginnings of parameters' names up to a dot.

    Raises UserError for a name without a parameter, and if nothing is left to train.
    """
    parameters = [name for name, _ in model.named_parameters()]
    for given in names:
        if not any(_is_in(name, [given]) for name in parameters):
            raise UserError(
                f"freeze names '{given}', which is no layer or parameter with values of the model; "
                + nearest(given, _valid(parameters))
            )
    frozen = [name for name in parameters if _is_in(name, names)]
    if names and len(frozen) == len(parameters):
        raise UserError(f"freeze names all parameters ({', '.join(names)}); leave some to train")
    return frozen


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """Keep parameters from being trained, and batch norms in these layers from changing.

    Raises UserError as `frozen_parameters` does.
    """
    frozen = set(frozen_parameters(model, names))
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and _is_in(name, names):
            module.register_forward_pre_hook(_as_in_eval)


def _as_in_eval(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """A hook before `forward`: the statistics of a frozen batch norm are used as they are."""
    module.eval()


def _is_in(name: str, given: Collection[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in given)


def _valid(parameters: list[str]) -> list[str]:
    """All names of parameters, and of modules with parameters, each after those that it is in."""
    valid: dict[str, None] = {}
    for name in parameters:
        parts = name.split(".")
        valid |= dict.fromkeys(".".join(parts[: end + 1]) for end in range(len(parts)))
    return list(valid)
