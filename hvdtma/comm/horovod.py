"""Trainers as Horovod ranks.

A killed trainer is noticed here: the collective that the others are in fails, and `_wait` raises
`TrainerLost`. `hvdtma.training.membership` then regroups the others.

Legend: M trainers, P parameters in the flat buffer, C = ceil(P / M), S values in a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import horovod.torch as hvd
import torch
from horovod.common.exceptions import HorovodInternalError

from hvdtma.comm.communicator import TrainerLost
from hvdtma.comm.groups import Group, LaunchedGroup
from hvdtma.comm.processes import POLL_S, ProcessCommunicator
from hvdtma.core.errors import TrainerError

MAX_TRIES = 20  # to start Horovod while trainers are lost


class HorovodComm(ProcessCommunicator):
    """This process as one trainer of a group.

    Raises TrainerError if the group cannot be entered.
    """

    def __init__(self, group: Group | None = None) -> None:
        self.group = group or LaunchedGroup()
        self.elastic, self.secret = self.group.elastic, self.group.secret
        self.regroup()

    def regroup(self) -> None:
        """Enter the group, again if the one before it broke. Waits for the other trainers.

        If another trainer is lost meanwhile, an elastic group tries again with those that are
        left. Raises TrainerError if the other trainers cannot be reached.
        """
        tries_left = MAX_TRIES if self.elastic else 1
        while True:
            try:
                self.group.start()
                break
            except (HorovodInternalError, ValueError) as error:  # ValueError: it could not start
                tries_left -= 1
                if not tries_left:
                    raise TrainerError(
                        "Horovod could not start among the trainers: one of them ended, or a "
                        f"firewall is between them (docs/clusters.md). Horovod's message: {error}"
                    ) from error
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        if self.group.slot is not None:
            self.local_rank = self.group.slot
        self._nccl = None

    def newcomers_wait(self) -> bool:
        return self.group.newcomers_wait()

    def leave(self) -> None:
        self.group.leave()

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        splits = torch.tensor([len(piece) for piece in pieces], dtype=torch.int32)
        flat = torch.cat(pieces)
        received, lengths = _wait(lambda: hvd.alltoall_async(flat, splits, "hvdtma.pieces"))
        return list(received.split(lengths.tolist()))

    def _all_to_all_rows(self, rows_MC: torch.Tensor) -> torch.Tensor:
        received, _ = _wait(lambda: hvd.alltoall_async(rows_MC, name="hvdtma.swap"))
        return received

    def _all_gather_rows(self, row_S: torch.Tensor) -> torch.Tensor:
        return _wait(lambda: hvd.allgather_async(row_S[None], name="hvdtma.rows"))

    def _broadcast(self, values: torch.Tensor, root: int) -> torch.Tensor:
        return _wait(lambda: hvd.broadcast_async(values, root, "hvdtma.broadcast"))

    def _has_nccl(self) -> bool:
        return bool(hvd.nccl_built())


def _wait(begin: Callable[[], int]) -> Any:
    """Begin a collective and poll until it completes; return its result.

    Raises TrainerLost if another trainer ends before that.
    """
    try:
        handle = begin()
        while not hvd.poll(handle):
            time.sleep(POLL_S)
        return hvd.synchronize(handle)
    except HorovodInternalError as error:
        raise TrainerLost("another trainer was lost", f"Horovod's message: {error}") from error
