"""One trainer alone: a communicator that needs neither Horovod nor torch.distributed."""

from __future__ import annotations

import time
from typing import Any

import torch


class SingleProcess:
    """The only trainer of a run."""

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1
    elastic = False

    def regroup(self) -> None: ...

    def newcomers_wait(self) -> bool:
        return False

    def leave(self) -> None: ...

    def clock(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        return flat_P

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        return row_S[None]

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return value

    def all_gather_object(self, value: Any) -> list[Any]:
        return [value]

    def gather_object(self, value: Any) -> list[Any]:
        return [value]

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        return pieces
