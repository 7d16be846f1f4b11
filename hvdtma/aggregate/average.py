"""The weighted mean of updates, optionally applied by an outer optimizer.

Legend: P values in the flat vector.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from hvdtma.aggregate.aggregator import RoundState, Summed
from hvdtma.aggregate.optimizers import make_outer_optimizer
from hvdtma.core.bounds import check_not_negative, check_positive
from hvdtma.core.errors import UserError


class Average:
    """Adds the weighted mean of the updates to the global parameters (TMA).

    An outer optimizer, if there is one, uses the negative mean as the gradient instead (DiLoCo,
    arXiv 2311.08105, section 2). Every trainer computes the same optimizer state from the same
    mean, so no state is exchanged. The mean is always added to buffers.

    Args:
        outer: `none`, `nesterov`, or a name in `hvdtma.aggregate.optimizers.OPTIMIZERS`.
        outer_lr: learning rate of the outer optimizer, above 0.
        outer_momentum: momentum of `nesterov` and `sgd`, at least 0 and less than 1.

    Raises UserError for other values.
    """

    exchange: ClassVar[str] = "sum"

    def __init__(self, outer: str = "none", outer_lr: float = 0.7, outer_momentum: float = 0.9):
        self._optimizer: torch.optim.Optimizer | None = None
        self._theta = nn.Parameter(torch.zeros(0))
        check_positive("outer_lr", outer_lr)
        check_not_negative("outer_momentum", outer_momentum, below=1)
        if outer != "none":
            self._optimizer = make_outer_optimizer(outer, [self._theta], outer_lr, outer_momentum)

    @property
    def exact_alone(self) -> bool:
        """True without an outer optimizer: the mean of one update is this update."""
        return self._optimizer is None

    def begin_round(self, model: nn.Module, state: RoundState) -> None:
        """Do nothing: each trainer trains all parameters."""

    def contribute(
        self, update_P: torch.Tensor, weight: float, state: RoundState
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The update times its weight, and the weight."""
        return weight * update_P, update_P.new_tensor([weight])

    def combine(self, received: Summed, base_P: torch.Tensor, state: RoundState) -> torch.Tensor:
        """The base plus the mean; an outer optimizer updates the parameters instead."""
        next_P = base_P + received.mean
        if self._optimizer is not None:
            parameters = slice(0, state.num_parameters)
            next_P[parameters] = self._outer_step(base_P[parameters], received.mean[parameters])
        return next_P

    def _outer_step(self, base: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        assert self._optimizer is not None
        for name, value in self.state_dict().items():
            if torch.is_tensor(value) and value.dim() and value.shape != base.shape:
                raise UserError(
                    "the state of the outer optimizer is of another model: its "
                    f"{name} has {value.numel():,} values, this model has {base.numel():,} "
                    "parameters"
                )
        self._theta.data, self._theta.grad = base.clone(), -mean
        self._optimizer.step()
        self._theta.grad = None
        return self._theta.data

    def after_round(self, model: nn.Module, state: RoundState) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """The state of the outer optimizer; empty before its first step."""
        return {} if self._optimizer is None else dict(self._optimizer.state.get(self._theta, {}))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._optimizer is None:
            if state:
                raise UserError(
                    f"the saved aggregator has the state {', '.join(state)} of an outer "
                    "optimizer, but this aggregator has no outer optimizer"
                )
            return
        self._optimizer.state.clear()
        if state:
            self._optimizer.state[self._theta] = {
                name: value.clone() if torch.is_tensor(value) else value
                for name, value in state.items()
            }
