"""A model's parameters and buffers as one flat vector: one collective instead of one per tensor.

Legend: P values in the vector.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import nn

from hvdtma.core.errors import UserError


class FlatModel:
    """All parameters, then all buffers of a model, as one vector [P].

    Buffers are averaged like parameters. Integer buffers (batch counters) are rounded.

    Args:
        frozen: names of parameters that are not exchanged and never change.

    Attributes:
        trained: int64 positions of all other values; None if no parameter is frozen.
        layout: range of each parameter and buffer in the vector, by name.
        num_parameters: number of values that are parameters. They come first in the vector.
        size: number of values.
    """

    def __init__(self, model: nn.Module, frozen: Collection[str] = ()):
        named = [*model.named_parameters(), *model.named_buffers()]
        self.tensors = [tensor for _, tensor in named]
        self.num_parameters = sum(parameter.numel() for parameter in model.parameters())
        self.layout: dict[str, slice] = {}
        first = 0
        for name, tensor in named:
            self.layout[name] = slice(first, first + tensor.numel())
            first += tensor.numel()
        self.size = first
        self.trained: torch.Tensor | None = None
        if frozen:
            kept = torch.ones(first, dtype=torch.bool)
            for name in frozen:
                kept[self.layout[name]] = False
            self.trained = torch.nonzero(kept).view(-1)

    def exchanged(self, values_P: torch.Tensor) -> torch.Tensor:
        """The values that trainers exchange, of values [P]."""
        return values_P if self.trained is None else values_P[self.trained]

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Exchanged values at their positions [P], 0 at those that are frozen."""
        if self.trained is None:
            return values
        return values.new_zeros(self.size).index_copy_(0, self.trained.to(values.device), values)

    def with_frozen(self, values_P: torch.Tensor, base_P: torch.Tensor) -> torch.Tensor:
        """New values [P], with those of `base_P` for frozen parameters."""
        if self.trained is None:
            return values_P
        places = self.trained.to(base_P.device)
        return base_P.index_copy(0, places, values_P[places].to(base_P.dtype))

    def check_size(self, flat_P: torch.Tensor) -> None:
        """Raise UserError for values of another model."""
        if flat_P.shape != (self.size,):
            raise UserError(
                f"the saved state is of another model: it has {flat_P.numel():,} parameters and "
                f"buffers, this model has {self.size:,}"
            )

    def read(self) -> torch.Tensor:
        """A copy of the values [P]; float64 if any tensor of the model is float64, else float32."""
        return flatten(self.tensors)

    def write(self, flat_P: torch.Tensor) -> None:
        """Write values [P] to the model."""
        unflatten(flat_P, self.tensors)

    def named(self, flat_P: torch.Tensor) -> dict[str, torch.Tensor]:
        """Values [P] as tensors of the model's shapes and types, by name."""
        copies = [torch.empty_like(tensor) for tensor in self.tensors]
        unflatten(flat_P, copies)
        return dict(zip(self.layout, copies, strict=True))


class FlatOptimizer:
    """The floating-point tensors of an optimizer's state (Adam's moments) as one vector.

    The vector is empty without an optimizer.
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

    @property
    def size(self) -> int:
        """Number of values; 0 before the first step."""
        return sum(tensor.numel() for tensor in self.tensors)

    def read(self) -> torch.Tensor:
        return flatten(self.tensors)

    def write(self, flat: torch.Tensor) -> None:
        unflatten(flat, self.tensors)

    def reset(self) -> None:
        """Clear the state, as before the first step."""
        if self.optimizer is not None:
            self.optimizer.state.clear()


def flatten(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Concatenate all values on the first tensor's device, as float64 if any is, else float32."""
    pieces = [tensor.detach().reshape(-1) for tensor in tensors]
    if not pieces:
        return torch.zeros(0)
    double = any(piece.dtype == torch.float64 for piece in pieces)
    dtype = torch.float64 if double else torch.float32
    return torch.cat([piece.to(pieces[0].device, dtype) for piece in pieces])


@torch.no_grad()
def unflatten(flat: torch.Tensor, tensors: Iterable[torch.Tensor]) -> None:
    """Copy values to the tensors; values for integer tensors are rounded."""
    tensors = list(tensors)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    for tensor, piece in zip(tensors, pieces, strict=True):
        values = piece if tensor.is_floating_point() else piece.round()
        tensor.copy_(values.view_as(tensor))
