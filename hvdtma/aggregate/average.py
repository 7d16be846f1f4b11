"""The weighted mean of updates, and an outer optimizer on it. P values in the flat vector."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from hvdtma.aggregate.aggregator import RoundState, Summed
from hvdtma.aggregate.optimizers import make_outer_optimizer
from hvdtma.core.errors import UserError


class Average:
    """Adds the weighted mean of the updates (TMA), or lets an outer optimizer take it.

    The outer optimizer takes the negative mean for the gradient of the parameters (DiLoCo, arXiv
    2311.08105, section 2). Every trainer holds the same optimizer state, computed from the same
    mean, so nothing more is sent. Buffers take the mean as it is.

    Args:
        outer: `none`, `nesterov`, or a name of `hvdtma.aggregate.optimizers`.
        outer_lr, outer_momentum: of the outer optimizer.
    """

    exchange: ClassVar[str] = "sum"

    def __init__(self, outer: str = "none", outer_lr: float = 0.7, outer_momentum: float = 0.9):
        self._optimizer: torch.optim.Optimizer | None = None
        self._theta = nn.Parameter(torch.zeros(0))
        if outer != "none":
            self._optimizer = make_outer_optimizer(outer, [self._theta], outer_lr, outer_momentum)

    @property
    def exact_alone(self) -> bool:
        """With one trainer, the mean of the updates is its update."""
        return self._optimizer is None

    def begin_round(self, model: nn.Module, state: RoundState) -> None:
        """Nothing: a trainer trains all parameters."""

    def contribute(
        self, update_P: torch.Tensor, weight: float, state: RoundState
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The update times its weight, and the weight."""
        return weight * update_P, update_P.new_tensor([weight])

    def combine(self, received: Summed, base_P: torch.Tensor, state: RoundState) -> torch.Tensor:
        """Base plus mean; of parameters, by the outer optimizer if there is one."""
        next_P = base_P + received.mean
        if self._optimizer is not None:
            here = slice(0, state.num_parameters)
            next_P[here] = self._outer_step(base_P[here], received.mean[here])
        return next_P

    def _outer_step(self, base: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        assert self._optimizer is not None
        self._theta.data, self._theta.grad = base.clone(), -mean
        self._optimizer.step()
        self._theta.grad = None
        return self._theta.data

    def after_round(self, model: nn.Module, state: RoundState) -> None:
        """Nothing."""

    def state_dict(self) -> dict[str, Any]:
        """The outer optimizer's state by name; empty without one, and before its first step."""
        return {} if self._optimizer is None else dict(self._optimizer.state.get(self._theta, {}))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._optimizer is None:
            if state:
                raise UserError(
                    f"the saved aggregator has the state {', '.join(state)} of an outer "
                    "optimizer; this one has no outer optimizer"
                )
            return
        self._optimizer.state.clear()
        if state:
            self._optimizer.state[self._theta] = {
                name: value.clone() if torch.is_tensor(value) else value
                for name, value in state.items()
            }
