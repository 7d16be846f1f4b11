"""The records of a round: a trainer's progress, its announcement at the end, and the outcome.

Legend: M trainers, S announced values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import torch

from hvdtma.core.errors import UserError

# Columns of the row that a trainer announces when it arrives at an aggregation (float64).
ANNOUNCED = range(10)
ARRIVED, WEIGHT, STEPS, EXAMPLES, LOSS_SUM, TRAIN_S, STOP_REQUEST, BAD_STEP = ANNOUNCED[:8]
NEWCOMERS, FINISHED = ANNOUNCED[8:]


class Stop(IntEnum):
    """The reason for a stop. Trainers exchange it as a number; the highest reason wins."""

    NOT = 0
    ROUNDS = 1
    TIME_LIMIT = 2
    EARLY = 3
    NAN_LOSS = 4
    INTERRUPTED = 5
    FINISHED = 6  # never requested: every trainer's own loop has ended

    @property
    def words(self) -> str:
        """The reason as text, for people."""
        return {3: "early stopping", 4: "NaN loss"}.get(self, self.name.lower().replace("_", " "))


class NonFiniteLoss(UserError):
    """A trainer's loss became NaN or infinite; its update was not averaged."""


@dataclass(frozen=True)
class Aggregation:
    """The outcome of one aggregation; the same on every trainer, except for `aggregate_s`.

    Attributes:
        round: number of the round, from 1.
        time_s: seconds from the common start until the last trainer arrived.
        aggregate_s: seconds that this trainer spent in the exchange.
        steps, examples: done by each trainer [M].
        losses: mean loss of each trainer's steps [M]; NaN for a trainer without a step, and where
            no loss was given.
        train_s, wait_s: seconds of training, and of waiting for the last trainer [M].
        weights: shares in the mean [M]; they sum to 1, or all are 0 if no trainer took a step.
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
        """Make an outcome from the announced rows."""
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
    """This trainer's progress since the last aggregation.

    Attributes:
        began: clock time when the round began.
        pending: losses that were not read from the device yet.
        bad_step: first step with a non-finite loss, counted over the whole run from 1; 0: none.
    """

    began: float
    steps: int = 0
    examples: int = 0
    loss_sum: float = 0.0
    last_loss: float | None = None
    pending: list[torch.Tensor] = field(default_factory=list)
    bad_step: int = 0

    @property
    def has_losses(self) -> bool:
        """Whether a loss was given and read, also before a resumption."""
        return self.last_loss is not None or self.loss_sum != 0

    def flush_losses(self, steps_before: int) -> None:
        """Read the pending losses, and set `bad_step` if one of them is not finite."""
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
