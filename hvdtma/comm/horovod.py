"""Trainers as Horovod ranks.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

import os
import time
from typing import Any

import horovod.torch as hvd
import torch

from hvdtma.errors import UserError

POLL_S = 0.0005


class HorovodComm:
    """The ranks that a launcher started (`horovodrun -np M`), or one by itself.

    Args:
        interval_s: the longest time between two collectives, so that Horovod's stall warning
            waits longer than that.

    Raises UserError if Horovod reports another size than the launcher asked for: a worker that
    cannot find its rendezvous runs alone as size 1, without a word.
    """

    def __init__(self, interval_s: float = 0.0):
        stall_s = str(int(max(60, 2 * interval_s)))
        os.environ.setdefault("HOROVOD_STALL_CHECK_TIME_SECONDS", stall_s)
        hvd.init()
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        asked = int(os.environ.get("HOROVOD_SIZE", os.environ.get("OMPI_COMM_WORLD_SIZE", 1)))
        if self.size != asked:
            raise UserError(
                f"the launcher asked for {asked} trainers, Horovod reports {self.size}: "
                "the rendezvous was not found; start with horovodrun, or check HOROVOD_GLOO_*"
            )

    def clock(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))

    def sum(self, flat_P: torch.Tensor) -> torch.Tensor:
        on_host = flat_P.is_cuda and not hvd.nccl_built()
        buffer = flat_P.cpu() if on_host else flat_P
        handle = hvd.allreduce_async(buffer, op=hvd.Sum, name="hvdtma.sum")
        return _wait(handle).to(flat_P.device)

    def gather_rows(self, row_S: torch.Tensor) -> torch.Tensor:
        return _wait(hvd.allgather_async(row_S[None], name="hvdtma.rows"))

    def broadcast(self, value: Any) -> Any:
        return hvd.broadcast_object(value, root_rank=0, name="hvdtma.broadcast")

    def gather(self, value: Any) -> list[Any]:
        return hvd.allgather_object(value, name="hvdtma.gather")


def _wait(handle: int) -> torch.Tensor:
    """Poll rather than block, so that signals are served while others are still training."""
    while not hvd.poll(handle):
        time.sleep(POLL_S)
    return hvd.synchronize(handle)
