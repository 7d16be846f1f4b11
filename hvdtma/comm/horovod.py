"""Trainers as Horovod ranks.

Legend: M trainers, P parameters in the flat buffer, S values in a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import horovod.torch as hvd
import torch
from horovod.common.exceptions import HorovodInternalError

from hvdtma.comm.communicator import TrainerLost, packed, unpacked
from hvdtma.comm.groups import Group, LaunchedGroup
from hvdtma.core.errors import TrainerError

POLL_S = 0.0005
MAX_TRIES = 20  # to start among trainers some of whom are lost meanwhile


class HorovodComm:
    """This process as one of a group's trainers.

    Raises TrainerError if the group cannot be entered.
    """

    def __init__(self, group: Group | None = None) -> None:
        self.group = group or LaunchedGroup()
        self.elastic = self.group.elastic
        self.regroup()

    def regroup(self) -> None:
        """Enter the group, again if the one before it broke; waits for the others.

        One more may be lost on the way; then the next try is with those left. Raises TrainerError
        if it is not that: the others cannot be reached.
        """
        tries = MAX_TRIES if self.elastic else 1
        while True:
            try:
                self.group.start()
                break
            except (HorovodInternalError, ValueError) as error:  # the latter: it could not start
                tries -= 1
                if not tries:
                    raise TrainerError(
                        "Horovod could not start among the trainers: one of them ended, or a "
                        f"firewall is between them (docs/clusters.md). It says: {error}"
                    ) from error
        self.rank, self.size = hvd.rank(), hvd.size()
        self.local_rank, self.local_size = hvd.local_rank(), hvd.local_size()
        if self.group.slot is not None:
            self.local_rank = self.group.slot
        self._nccl: bool | None = None

    def newcomers_wait(self) -> bool:
        return self.group.newcomers_wait()

    def leave(self) -> None:
        self.group.leave()

    def clock(self) -> float:
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))

    def all_reduce(self, flat_P: torch.Tensor) -> torch.Tensor:
        buffer = flat_P if self._through_nccl(flat_P.device) else flat_P.cpu()
        summed = _wait(lambda: hvd.allreduce_async(buffer, op=hvd.Sum, name="hvdtma.sum"))
        return summed.to(flat_P.device)

    def all_gather(self, row_S: torch.Tensor) -> torch.Tensor:
        return _wait(lambda: hvd.allgather_async(row_S[None], name="hvdtma.rows"))

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        words = packed(value if self.rank == root else None)
        length = _wait(lambda: hvd.broadcast_async(torch.tensor([len(words)]), root, "hvdtma.n"))
        if self.rank != root:
            words = torch.empty(int(length), dtype=torch.int64)
        return unpacked(_wait(lambda: hvd.broadcast_async(words, root, "hvdtma.object")))

    def all_gather_object(self, value: Any) -> list[Any]:
        words = packed(value)
        sizes = _wait(lambda: hvd.allgather_async(torch.tensor([len(words)]), "hvdtma.sizes"))
        every = _wait(lambda: hvd.allgather_async(words, "hvdtma.objects"))
        return [unpacked(piece) for piece in every.split(sizes.tolist())]

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        splits = torch.tensor([len(piece) for piece in pieces], dtype=torch.int32)
        flat = torch.cat(pieces)
        received, lengths = _wait(lambda: hvd.alltoall_async(flat, splits, "hvdtma.deliver"))
        return list(received.split(lengths.tolist()))

    def _through_nccl(self, device: torch.device) -> bool:
        """Whether each trainer of the group has a GPU to itself, as NCCL wants; the same on all.

        Asked once of a group: after trainers were lost and others came, local ranks do not say who
        has which GPU.
        """
        if self._nccl is None:
            gpu = None
            if device.type == "cuda" and hvd.nccl_built():
                gpu = str(torch.cuda.get_device_properties(device).uuid)
            gpus = self.all_gather_object(gpu)
            self._nccl = None not in gpus and len(set(gpus)) == self.size
        return self._nccl


def _wait(begin: Callable[[], int]) -> torch.Tensor:
    """A collective's result. Polls rather than blocks, so that signals are served meanwhile.

    Raises TrainerLost if another trainer ended before it.
    """
    try:
        handle = begin()
        while not hvd.poll(handle):
            time.sleep(POLL_S)
        return hvd.synchronize(handle)
    except HorovodInternalError as error:
        raise TrainerLost(str(error)) from error
