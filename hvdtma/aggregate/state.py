"""Where timed averaging stands, to be told to a newcomer or kept for another day.

Legend: P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hvdtma.aggregate.round import Aggregation, Round, Stop
from hvdtma.aggregate.timed import TimedAveraging

COUNTERS = ("steps_done", "examples_done", "train_s", "wait_s", "aggregate_s")


@dataclass(frozen=True)
class GlobalState:
    """What every trainer knows alike.

    Attributes:
        theta_P, velocity_P: global parameters, and the outer step's memory if it has one.
        clock_s: since the common start, elapsed_s: until the end of the last aggregation.
        last: what the last aggregation did.
        started: whether there was a common start; else theta_P is one trainer's own, as it began.
    """

    theta_P: torch.Tensor
    velocity_P: torch.Tensor | None
    rounds_done: int
    next_grid: int
    clock_s: float
    elapsed_s: float
    last: Aggregation | None = None
    stopped: Stop = Stop.NOT
    started: bool = True

    @classmethod
    def of(cls, averaging: TimedAveraging) -> GlobalState:
        """As it is now."""
        velocity_P = averaging.outer.velocity_P
        return cls(
            averaging.theta_P.cpu(),
            None if velocity_P is None else velocity_P.cpu(),
            averaging.rounds_done,
            averaging.next_grid,
            averaging.comm.clock() - averaging.began,
            averaging.elapsed_s,
            averaging.last,
            averaging.stopped,
            averaging.started,
        )

    def take(self, averaging: TimedAveraging, *, known_at: float | None = None) -> None:
        """Let averaging go on from here, at the beginning of a round.

        Args:
            known_at: when this was so, on this trainer's clock; None: now.
        """
        now = averaging.comm.clock() if known_at is None else known_at
        device = averaging.flat.read().device
        averaging.theta_P = self.theta_P.to(device)
        averaging.flat.write(averaging.theta_P)
        velocity_P = self.velocity_P
        averaging.outer.velocity_P = None if velocity_P is None else velocity_P.to(device)
        averaging.rounds_done, averaging.next_grid = self.rounds_done, self.next_grid
        averaging.began = now - self.clock_s
        averaging.ended = averaging.began + self.elapsed_s
        averaging.last, averaging.stopped = self.last, self.stopped
        averaging.started = self.started
        averaging.round = Round(averaging.comm.clock())


@dataclass(frozen=True)
class RankState:
    """What is one trainer's own: its local parameters, and what it did so far.

    Attributes:
        local_P: its parameters in the middle of a round.
        steps, examples, loss_sum: of the round so far; round_s: its seconds.
        counters: of the whole run, by name.
    """

    local_P: torch.Tensor
    steps: int
    examples: int
    loss_sum: float
    round_s: float
    counters: dict[str, float]

    @classmethod
    def of(cls, averaging: TimedAveraging) -> RankState:
        """As it is now."""
        now = averaging.round
        now.flush_losses(averaging.steps_done)
        return cls(
            averaging.flat.read().cpu(),
            now.steps,
            now.examples,
            now.loss_sum,
            averaging.comm.clock() - now.began,
            {name: getattr(averaging, name) for name in COUNTERS},
        )

    def take(self, averaging: TimedAveraging) -> None:
        """Let averaging go on in the middle of its round; after `GlobalState.take`."""
        averaging.flat.write(self.local_P.to(averaging.theta_P.device))
        began = averaging.comm.clock() - self.round_s
        averaging.round = Round(began, self.steps, self.examples, self.loss_sum)
        for name, value in self.counters.items():
            setattr(averaging, name, value)
