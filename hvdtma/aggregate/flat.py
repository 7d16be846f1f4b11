"""A model's averaged values as one flat buffer: one collective instead of one per tensor.

Legend: P values in the buffer.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class FlatModel:
    """Every parameter and buffer of a model, in a fixed order, as one float32 vector [P].

    Buffers are averaged like parameters; integer ones (batch counters) are averaged and rounded.
    """

    def __init__(self, model: nn.Module):
        self.tensors = [*model.parameters(), *model.buffers()]

    def read(self) -> torch.Tensor:
        """A copy of the values, float32 [P]."""
        return flatten(self.tensors)

    def write(self, flat_P: torch.Tensor) -> None:
        """Put values [P] into the model."""
        unflatten(flat_P, self.tensors)


class FlatOptimizer:
    """The float tensors of an optimiser's state (Adam's moments), as one float32 vector.

    Without an optimiser there are none.
    """

    def __init__(self, optimizer: torch.optim.Optimizer | None):
        self.optimizer = optimizer

    @property
    def tensors(self) -> list[torch.Tensor]:
        if self.optimizer is None:
            return []
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        states = [self.optimizer.state.get(p, {}) for p in parameters]
        return [
            state[name]
            for state in states
            for name in sorted(state)
            if torch.is_tensor(state[name]) and state[name].is_floating_point()
        ]

    def read(self) -> torch.Tensor:
        return flatten(self.tensors)

    def write(self, flat: torch.Tensor) -> None:
        unflatten(flat, self.tensors)

    def reset(self) -> None:
        """Forget the state, as if no step had been taken."""
        if self.optimizer is not None:
            self.optimizer.state.clear()


def flatten(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """All values end to end, float32, on the first tensor's device."""
    pieces = [tensor.detach().reshape(-1).float() for tensor in tensors]
    if not pieces:
        return torch.zeros(0)
    return torch.cat([piece.to(pieces[0].device) for piece in pieces])


@torch.no_grad()
def unflatten(flat: torch.Tensor, tensors: Iterable[torch.Tensor]) -> None:
    """Copy values back; integer tensors take the rounded value."""
    tensors = list(tensors)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    for tensor, piece in zip(tensors, pieces, strict=True):
        values = piece if tensor.is_floating_point() else piece.round()
        tensor.copy_(values.view_as(tensor))
