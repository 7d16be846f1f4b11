"""Trainers as ranks of torch.distributed: Gloo for CPU tensors, NCCL where each has a GPU.

**Security.** PyTorch's TCPStore, Gloo and NCCL authenticate nobody: a process that reaches the
store's port can change the addresses that the trainers connect to, and a process that reaches a
trainer's port can pose as another trainer. Two things limit this. With a secret (under srun) every
object is signed, so a stranger's pickle is not run; parameters are neither signed nor encrypted.
And Gloo listens on one network interface only, the one towards the store. torchrun has no secret,
and its own agents unpickle the values in the store: use torchrun on a network that you trust.

Legend: M trainers, C values of a part, S values in a row.
"""

from __future__ import annotations

import atexit
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist

from hvdtma.comm.communicator import TrainerLost
from hvdtma.comm.network import interface_towards
from hvdtma.comm.processes import POLL_S, ProcessCommunicator
from hvdtma.comm.rendezvous import RendezvousGone
from hvdtma.core.errors import TrainerError

MEET_TIMEOUT = timedelta(minutes=5)
MEET_POLL_S = 0.05
# A collective waits as long as the slowest trainer reads or scores. A lost trainer's connections
# close, which is noticed at once.
COLLECTIVE_TIMEOUT = timedelta(days=7)
INTERFACE = "GLOO_SOCKET_IFNAME"
GLOO_CONTEXT = re.compile(r"^\[\S+:\d+\] |\. This is typically.*", re.DOTALL)  # around a message


class TorchDistributedComm(ProcessCommunicator):
    """This process as one rank of a process group of torch.distributed. The group never changes.

    Args:
        group: with Gloo for CPU tensors, and NCCL if there are GPUs; None: the default group.
        local_rank, local_size: see `Communicator`.
        secret: objects are signed with it; None: they are not signed.
    """

    elastic = False

    def __init__(
        self,
        group: dist.ProcessGroup | None = None,
        *,
        local_rank: int = 0,
        local_size: int = 1,
        secret: str | None = None,
    ):
        self._group, self.secret = group, secret
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.local_rank, self.local_size = local_rank, local_size

    def regroup(self) -> None: ...

    def newcomers_wait(self) -> bool:
        return False

    def leave(self) -> None: ...

    def all_to_all(self, pieces: list[torch.Tensor]) -> list[torch.Tensor]:
        lengths = [len(piece) for piece in pieces]
        received_lengths = self._all_to_all_rows(torch.tensor(lengths)[:, None]).flatten().tolist()
        received = pieces[0].new_empty(sum(received_lengths))
        sent = torch.cat(pieces)
        self._wait(
            lambda: dist.all_to_all_single(
                received, sent, received_lengths, lengths, group=self._group, async_op=True
            )
        )
        return list(received.split(received_lengths))

    def _all_to_all_rows(self, rows_MC: torch.Tensor) -> torch.Tensor:
        received_MC = torch.empty_like(rows_MC)
        self._wait(
            lambda: dist.all_to_all_single(received_MC, rows_MC, group=self._group, async_op=True)
        )
        return received_MC

    def _all_gather_rows(self, row_S: torch.Tensor) -> torch.Tensor:
        rows_MS = row_S.new_empty(self.size, len(row_S))
        rows = list(rows_MS.unbind())
        self._wait(lambda: dist.all_gather(rows, row_S, group=self._group, async_op=True))
        return rows_MS

    def _broadcast(self, values: torch.Tensor, root: int) -> torch.Tensor:
        self._wait(lambda: dist.broadcast(values, root, group=self._group, async_op=True))
        return values

    def _has_nccl(self) -> bool:
        return dist.is_nccl_available()

    @staticmethod
    def _wait(begin: Callable[[], dist.Work]) -> None:
        """Begin a collective and poll until it completes.

        Raises TrainerLost if another trainer ends before that.
        """
        try:
            work = begin()
            while not work.is_completed():
                time.sleep(POLL_S)
            work.wait()
        except RuntimeError as error:  # what Gloo and NCCL raise
            reason = GLOO_CONTEXT.sub("", str(error))
            raise TrainerLost("another trainer was lost", f"PyTorch's message: {reason}") from error


def join_torchrun() -> TorchDistributedComm:
    """The communicator of a process that torchrun started.

    Another launcher will do if it sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. If the script
    has initialised torch.distributed by itself, the trainers are the ranks of its default group.

    Raises TrainerError if the store cannot be reached, or not all ranks come in time.
    """
    group = None
    if dist.is_initialized():
        group = dist.new_group(backend=_backend(), timeout=COLLECTIVE_TIMEOUT)
    else:
        address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
        with suppress(TrainerError):  # else Gloo looks for an interface by itself
            use_interface_towards(address)
        try:
            store, rank, size = next(dist.rendezvous("env://", timeout=MEET_TIMEOUT))
        except (RuntimeError, ValueError) as error:
            raise TrainerError(
                f"the store of torch.distributed at {address}:{port} cannot be reached: {error}"
            ) from error
        init_default_group(store, rank, size)
    return TorchDistributedComm(
        group,
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        local_size=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )


def init_default_group(
    store: dist.Store, rank: int, size: int, check: Callable[[], None] = lambda: None
) -> None:
    """Initialise torch.distributed among the ranks that meet in a store. Collective.

    Args:
        check: called while not all have come; raises an error to end the waiting.

    Raises TrainerError if not all ranks come within `MEET_TIMEOUT`.
    """
    _wait_for_all(store, rank, size, check)
    dist.init_process_group(
        _backend(), store=store, rank=rank, world_size=size, timeout=COLLECTIVE_TIMEOUT
    )
    atexit.register(_destroy_groups)  # otherwise Gloo's threads may abort the process at its end


def use_interface_towards(address: str) -> None:
    """Let Gloo listen on the network interface towards an address, unless the user chose one."""
    if INTERFACE not in os.environ:
        os.environ[INTERFACE] = interface_towards(address)[0]


def _wait_for_all(store: dist.Store, rank: int, size: int, check: Callable[[], None]) -> None:
    """Wait until all ranks have come to the store. Polls, so that signals are handled."""
    deadline = time.monotonic() + MEET_TIMEOUT.total_seconds()
    try:
        store.set(f"hvdtma/{rank}", "here")
        missing = [f"hvdtma/{other}" for other in range(size)]
        while missing := [key for key in missing if not store.check([key])]:
            check()
            if time.monotonic() > deadline:
                ranks = ", ".join(key.rpartition("/")[2] for key in missing)
                raise TrainerError(
                    f"of {size} trainers, these ranks did not come within {MEET_TIMEOUT}: {ranks}"
                )
            time.sleep(MEET_POLL_S)
    except dist.DistError as error:
        raise RendezvousGone(f"the store of torch.distributed was lost: {error}") from error


def _backend() -> str:
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if has_nccl else "gloo"


def _destroy_groups() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
