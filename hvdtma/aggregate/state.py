"""The state of timed averaging: for a trainer that joins, and for a checkpoint.

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
    """The part that is the same on every trainer.

    Attributes:
        theta_P: the global parameters and buffers.
        aggregator: the aggregator's `state_dict`.
        next_grid: the round under way ends at so many intervals from the start.
        clock_s: seconds since the common start; elapsed_s: until the last aggregation ended.
        last: the last aggregation.
        started: whether there was a common start; else `theta_P` is one trainer's own.
    """

    theta_P: torch.Tensor
    aggregator: dict[str, Any]
    rounds_done: int
    next_grid: int
    clock_s: float
    elapsed_s: float
    last: Aggregation | None = None
    stopped: Stop = Stop.NOT
    started: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Tensors and JSON values by name."""
        plain = {
            **vars(self),
            "stopped": int(self.stopped),
            "last": self.last and asdict(self.last),
        }
        return plain

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GlobalState:
        """What `as_dict` gave."""
        last = values["last"] and Aggregation(**values["last"])
        return cls(**{**values, "last": last, "stopped": Stop(values["stopped"])})


@dataclass(frozen=True)
class RankState:
    """The part that is one trainer's own.

    Attributes:
        local_P: its parameters and buffers in the middle of a round.
        steps, examples, loss_sum: of the round so far; round_s: its seconds.
        counters: of the whole run, by name.
    """

    local_P: torch.Tensor
    steps: int
    examples: int
    loss_sum: float
    round_s: float
    counters: dict[str, float]
