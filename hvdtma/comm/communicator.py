"""What the timed loop asks of a communicator, and the one for a single trainer.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

from hvdtma.errors import UserError


class Communicator(Protocol):
    """M trainers that call the same collectives in the same order.

    `clock` is what deadlines are kept by: seconds that only grow, comparable between trainers to
    within the time a barrier takes.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int

    def clock(self) -> float:
        """Seconds; a trainer's own."""
        ...

    def sleep_until(self, deadline: float) -> None:
        """Let the clock reach `deadline` without computing."""
        ...

    def sum(self, flat_P: torch.Tensor) -> torch.Tensor:
        """The elementwise sum over trainers, the same bits on every one."""
        ...

    def gather_rows(self, row_S: torch.Tensor) -> torch.Tensor:
        """Every trainer's row, [M, S] in rank order."""
        ...

    def broadcast(self, value: Any) -> Any:
        """Trainer 0's object, on every trainer."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """Every trainer's object, in rank order."""
        ...


def on_root(comm: Communicator, action: Callable[[], Any]) -> Any:
    """What `action` returns on trainer 0, on every trainer; its UserError is raised on each."""
    answer = None
    if comm.rank == 0:
        try:
            answer = ("value", action())
        except UserError as error:
            answer = ("error", str(error))
    kind, content = comm.broadcast(answer)
    if kind == "error":
        raise UserError(content)
    return content


class Single:
    """One trainer by itself."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1

    def clock(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))

    def sum(self, flat_P: torch.Tensor) -> torch.Tensor:
        return flat_P

    def gather_rows(self, row_S: torch.Tensor) -> torch.Tensor:
        return row_S[None]

    def broadcast(self, value: Any) -> Any:
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value]
