"""What a round is: what a trainer does in it, announces at its end, and learns of the others.

Legend: M trainers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import torch

from hvdtma.core.errors import UserError

# What a trainer announces when it arrives at an aggregation, one float64 each.
ANNOUNCED = range(9)
ARRIVED, WEIGHT, STEPS, EXAMPLES, LOSS_SUM, TRAIN_S, WANTED_STOP, BAD_STEP, NEWCOMERS = ANNOUNCED


class Stop(IntEnum):
    """Why the rounds ended; travels as a number. Of several reasons the highest one counts."""

    NOT = 0
    ROUNDS = 1
    TIME_LIMIT = 2
    EARLY = 3
    NAN_LOSS = 4
    INTERRUPTED = 5

    @property
    def words(self) -> str:
        return {3: "early stopping", 4: "NaN loss"}.get(self, self.name.lower().replace("_", " "))


class NonFiniteLoss(UserError):
    """A trainer's loss became NaN or infinite; its update was not averaged."""


@dataclass(frozen=True)
class Aggregation:
    """What one aggregation did; the same on every trainer.

    Attributes:
        round: 1 for the first.
        time_s: training time when the last trainer arrived.
        aggregate_s: what averaging itself took on this trainer.
        steps, examples, losses, train_s, wait_s, weights: per trainer [M]; losses are means over
            the round's steps (NaN without a step), weights sum to 1, or are 0 if nobody trained.
    """

    round: int
    time_s: float
    aggregate_s: float
    steps: list[int]
    examples: list[int]
    losses: list[float]
    train_s: list[float]
    wait_s: list[float]
    weights: list[float]

    @classmethod
    def of(
        cls, rows_MS: torch.Tensor, weights_M: torch.Tensor, round: int, aggregate_s: float
    ) -> Aggregation:
        """From what every trainer announced."""
        arrival_M, steps_M = rows_MS[:, ARRIVED], rows_MS[:, STEPS]
        return cls(
            round=round,
            time_s=float(arrival_M.max()),
            aggregate_s=aggregate_s,
            steps=steps_M.long().tolist(),
            examples=rows_MS[:, EXAMPLES].long().tolist(),
            losses=(rows_MS[:, LOSS_SUM] / steps_M).tolist(),
            train_s=rows_MS[:, TRAIN_S].tolist(),
            wait_s=(arrival_M.max() - arrival_M).tolist(),
            weights=weights_M.tolist(),
        )


@dataclass
class Round:
    """What this trainer did since the last aggregation."""

    began: float
    steps: int = 0
    examples: int = 0
    loss_sum: float = 0.0
    last_loss: float | None = None
    pending: list[torch.Tensor] = field(default_factory=list)
    bad_step: int = 0  # of the whole run, from 1; 0: none

    def flush_losses(self, steps_before: int) -> None:
        """Read the losses that were only noted, and find the first that is not finite."""
        if not self.pending:
            return
        losses = torch.stack(self.pending).double().cpu()
        first = self.steps - len(self.pending)
        self.pending = []
        bad = torch.nonzero(~torch.isfinite(losses))
        if len(bad) and not self.bad_step:
            self.bad_step = steps_before + first + int(bad[0]) + 1
        self.loss_sum += float(losses.sum())
        self.last_loss = float(losses[-1])
