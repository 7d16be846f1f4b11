"""Trainers as Horovod ranks.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

import time
from typing import Any

import horovod.torch as hvd
import torch

from hvdtma.errors import TrainerError
from hvdtma.launcher import launched_as

POLL_S = 0.0005


class HorovodComm:
    """The ranks that a launcher started (`horovodrun -np M`), or one by itself.

    Raises TrainerError if Horovod reports another size than the launcher asked for: a worker that
    cannot find its rendezvous runs alone as size 1, without a word.
    """

    def __init__(self) -> None:
        hvd.init()
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        _, asked = launched_as()
        if self.size != asked:
            raise TrainerError(
                f"the launcher asked for {asked} trainers, Horovod reports {self.size}: "
                "the rendezvous was not found; start with horovodrun, or check HOROVOD_GLOO_*"
            )

    def clock(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))

    def sum(self, flat_P: torch.Tensor) -> torch.Tensor:
        shared_gpu = flat_P.is_cuda and self.local_size > torch.cuda.device_count()
        on_host = flat_P.is_cuda and (shared_gpu or not hvd.nccl_built())  # NCCL: one rank a GPU
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
