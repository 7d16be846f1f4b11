"""Outer steps: from the averaged update to the next global parameters. P parameters.

`velocity_P` is all that one remembers of earlier rounds; None: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class Average:
    """Plain averaging (TMA): theta + update."""

    velocity_P: torch.Tensor | None = field(default=None, repr=False)

    def __call__(self, theta_P: torch.Tensor, update_P: torch.Tensor) -> torch.Tensor:
        return theta_P + update_P


@dataclass
class Nesterov:
    """Nesterov SGD on the averaged update (DiLoCo, arXiv 2311.08105, section 2).

    Every trainer holds the same momentum, computed from the same update, so nothing is sent.
    """

    lr: float = 0.7
    momentum: float = 0.9
    velocity_P: torch.Tensor | None = field(default=None, repr=False)

    def __call__(self, theta_P: torch.Tensor, update_P: torch.Tensor) -> torch.Tensor:
        if self.velocity_P is None:
            self.velocity_P = torch.zeros_like(update_P)
        self.velocity_P = self.momentum * self.velocity_P + update_P
        return theta_P + self.lr * (update_P + self.momentum * self.velocity_P)
