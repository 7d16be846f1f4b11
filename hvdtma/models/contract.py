"""The part of the contract that encoders and decoders share."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hvdtma.core.contract import Call, check_methods, not_a


def check_module(kind: str, name: str, target: Any, arguments: tuple[str, ...]) -> None:
    """Raises UserError if a class is not an `nn.Module` with a `forward` for these arguments."""
    if not (isinstance(target, type) and issubclass(target, nn.Module)):
        raise not_a(kind, name, "it is not a subclass of torch.nn.Module")
    if target.forward is nn.Module.forward:
        raise not_a(kind, name, "it has no `forward`")
    check_methods(kind, name, target, {"forward": Call(arguments)})


def shape_of(output: Any) -> str:
    """The output of a module, for messages."""
    if torch.is_tensor(output):
        return f"a tensor of shape {list(output.shape)}"
    return f"an object of type {type(output).__name__}"
