"""Optimizers by name, for trainers and for the outer step of an aggregator."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from hvdtma.core.errors import UserError, nearest
from hvdtma.core.train_config import OptimizerConfig


class NovoGrad(torch.optim.Optimizer):
    """NovoGrad (Ginsburg et al., arXiv 1905.11286, algorithm 1).

    The second moment is one number per tensor. The gradient is divided by its root before weight
    decay is added and momentum is applied.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; return the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, self.state[parameter], group)
        return loss

    def _update(self, parameter: nn.Parameter, state: dict, group: dict) -> None:
        gradient, (beta1, beta2) = parameter.grad, group["betas"]
        assert gradient is not None
        square = gradient.square().sum()
        if not state:
            state["second_moment"] = square.clone()
            state["momentum"] = torch.zeros_like(parameter)
        else:
            state["second_moment"].mul_(beta2).add_(square, alpha=1 - beta2)
        scaled = gradient / (state["second_moment"].sqrt() + group["eps"])
        scaled = scaled.add(parameter, alpha=group["weight_decay"])
        state["momentum"].mul_(beta1).add_(scaled)
        parameter.add_(state["momentum"], alpha=-group["lr"])


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "novograd": NovoGrad,
}


def make_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Make the config's optimizer for the parameters of a model that are trained."""
    momentum = {"momentum": config.momentum} if config.name == "sgd" else {}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return OPTIMIZERS[config.name](
        trained, lr=config.lr, weight_decay=config.weight_decay, **momentum
    )


def make_outer_optimizer(
    name: str, parameters: list[nn.Parameter], lr: float, momentum: float
) -> torch.optim.Optimizer:
    """Make an outer optimizer: `nesterov` (SGD with Nesterov momentum), or one of `OPTIMIZERS`.

    Raises UserError for an unknown name.
    """
    if name == "nesterov":
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=momentum > 0)
    if name not in OPTIMIZERS:
        raise UserError(
            f"unknown outer optimizer '{name}'; {nearest(name, ['none', 'nesterov', *OPTIMIZERS])}"
        )
    return OPTIMIZERS[name](parameters, lr=lr, **({"momentum": momentum} if name == "sgd" else {}))
