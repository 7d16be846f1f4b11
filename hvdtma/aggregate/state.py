"""The state of timed averaging, for checkpoints and for trainers that join.

Legend: P values in the flat vector.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from hvdtma.aggregate.round import Aggregation, Stop

COUNTERS = ("steps_done", "examples_done", "train_s", "wait_s", "aggregate_s")


@dataclass(frozen=True)
class GlobalState:
    """The part of the state that is the same on every trainer.

    Attributes:
        theta_P: global parameters and buffers.
        mean_P: their exponential mean over rounds; None without one.
        mean_steps: steps of all rounds, each round's the mean over the trainers that took any.
        aggregator: `state_dict` of the aggregator.
        deadline_intervals: intervals from the common start to the deadline of the current round.
        clock_s: seconds since the common start.
        elapsed_s: seconds from the common start to the end of the last aggregation.
        last: outcome of the last aggregation.
        started: whether the trainers had their common start. Before it, `theta_P` is one trainer's
            own.
    """

    theta_P: torch.Tensor
    aggregator: dict[str, Any]
    rounds_done: int
    deadline_intervals: int
    clock_s: float
    elapsed_s: float
    last: Aggregation | None = None
    stopped: Stop = Stop.NOT
    started: bool = True
    mean_P: torch.Tensor | None = None
    mean_steps: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The state as tensors and JSON values."""
        last = self.last and asdict(self.last)
        return {**vars(self), "stopped": int(self.stopped), "last": last}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GlobalState:
        """The state from the result of `as_dict`."""
        last = values["last"] and Aggregation(**values["last"])
        return cls(**{**values, "last": last, "stopped": Stop(values["stopped"])})


@dataclass(frozen=True)
class RankState:
    """The part of the state that belongs to one trainer.

    Attributes:
        local_P: parameters and buffers in the middle of a round.
        steps, examples, loss_sum: of the current round so far.
        round_s: seconds since the current round began.
        counters: totals of the whole run, by name (`COUNTERS`).
    """

    local_P: torch.Tensor
    steps: int
    examples: int
    loss_sum: float
    round_s: float
    counters: dict[str, float]
