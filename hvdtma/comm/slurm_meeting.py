"""Tasks of one srun become trainers: no ssh, no MPI, no fixed port.

Rank 0 opens a port and writes its address, with a fresh secret, to a file that only its owner can
read. The other ranks wait for the file.

horovod     the port is the job's signed rendezvous, which closes when all ranks have met
torch       the port is PyTorch's TCPStore, which checks no signatures, on the interface towards
            the other nodes; the secret signs the objects that the trainers exchange
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch.distributed import TCPStore

from hvdtma.comm.communicator import Communicator
from hvdtma.comm.rendezvous import Members, RendezvousClient, RendezvousServer
from hvdtma.comm.rendezvous.members import rank_infos
from hvdtma.comm.rendezvous.signing import new_secret
from hvdtma.comm.slurm_task import SlurmTask, own_address
from hvdtma.comm.torch_distributed import (
    TorchDistributedComm,
    init_default_group,
    use_interface_towards,
)
from hvdtma.comm.transport import has_horovod, require_horovod
from hvdtma.core.errors import TrainerError

if TYPE_CHECKING:
    from hvdtma.comm.horovod import HorovodComm

MEET_TIMEOUT_S = 300.0
FILE_POLL_S = 0.1


@dataclass(frozen=True)
class RendezvousInfo:
    """The address and the secret of rank 0's port, and the transport that it serves."""

    address: str
    port: int
    secret: str
    transport: str = "horovod"


def meet(
    task: SlurmTask,
    folder: Path,
    *,
    transport: str = "auto",
    timeout_s: float = MEET_TIMEOUT_S,
) -> Communicator:
    """Make the tasks of a job step trainers of the same ranks. Every task calls this.

    Args:
        folder: one that all nodes see. It is made if it does not exist.
        transport: auto is Horovod if it is installed, else torch.distributed. Rank 0 decides.

    Raises TrainerError if rank 0's file, or another task, does not appear in time; UserError if
    Horovod is not installed where it is needed.
    """
    path = folder / f".hvdtma-{task.key}.json"
    if task.rank != 0:
        info = wait_for(path, timeout_s)
        return _join_torch(task, info) if info.transport == "torch" else _join_horovod(task, info)
    if transport == "torch" or (transport == "auto" and not has_horovod()):
        return _serve_torch(task, path)
    return _serve_horovod(task, path, timeout_s)


def _serve_horovod(task: SlurmTask, path: Path, timeout_s: float) -> HorovodComm:
    require_horovod("--comm is horovod")
    members = Members(
        expected=task.size, minimum=task.size, start_timeout_s=0, rejoin_timeout_s=timeout_s
    )
    with RendezvousServer(own_address(task.nodes), new_secret(), members.answer) as server:
        info = RendezvousInfo(server.address, server.port, server.secret)
        with published(info, path):
            return _join_horovod(task, info)


def _join_horovod(task: SlurmTask, info: RendezvousInfo) -> HorovodComm:
    """Join the rendezvous. Returns when all ranks have, so that rank 0 may close it."""
    require_horovod("rank 0 uses Horovod")
    from hvdtma.comm.groups import RendezvousGroup
    from hvdtma.comm.horovod import HorovodComm

    client = RendezvousClient(info.address, info.port, info.secret)
    name = f"{task.rank:08d}"  # ranks are given in the order of names
    comm = HorovodComm(RendezvousGroup(client, name, task.node, elastic=False))
    comm.all_gather_object(None)
    return comm


def _serve_torch(task: SlurmTask, path: Path) -> TorchDistributedComm:
    listener = socket.create_server((own_address(task.nodes), 0))
    address, port = listener.getsockname()
    store = TCPStore(
        address, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )
    info = RendezvousInfo(address, port, new_secret(), "torch")
    with published(info, path):
        return _torch_communicator(task, info, store)


def _join_torch(task: SlurmTask, info: RendezvousInfo) -> TorchDistributedComm:
    try:
        store = TCPStore(info.address, info.port, wait_for_workers=False)
    except RuntimeError as error:
        where = f"{info.address}:{info.port}"
        raise TrainerError(f"rank 0's store at {where} cannot be reached: {error}") from error
    return _torch_communicator(task, info, store)


def _torch_communicator(
    task: SlurmTask, info: RendezvousInfo, store: TCPStore
) -> TorchDistributedComm:
    use_interface_towards(info.address)
    init_default_group(store, task.rank, task.size)
    comm = TorchDistributedComm(secret=info.secret)
    own = rank_infos(comm.all_gather_object(task.node), generation=0)[comm.rank]
    comm.local_rank, comm.local_size = own.local_rank, own.local_size
    return comm


@contextmanager
def published(info: RendezvousInfo, path: Path) -> Iterator[None]:
    """Keep a file of mode 0600 with the rendezvous while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    for stale in (partial, path):
        stale.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(vars(info), file)
        partial.rename(path)
        yield
    finally:
        partial.unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def wait_for(path: Path, timeout_s: float) -> RendezvousInfo:
    """Wait for rank 0's file and read it.

    Raises TrainerError if it does not appear in time, or other users could have written it.
    """
    deadline = time.monotonic() + timeout_s
    while not _is_listed(path):
        if time.monotonic() > deadline:
            raise TrainerError(
                f"{path} did not appear on {os.uname().nodename} within {timeout_s:.0f} s: rank 0 "
                "has not started, or its folder is not shared between the nodes; put run= into "
                "a folder that all of them see"
            )
        time.sleep(FILE_POLL_S)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise TrainerError(
                    f"{path} is not trusted: other users can read it, or own it; remove it"
                )
            return RendezvousInfo(**json.load(file))
    except OSError as error:  # a symbolic link; or rank 0 has ended and removed the file
        raise TrainerError(f"{path} cannot be read: {error.strerror}") from error


def _is_listed(path: Path) -> bool:
    """Whether a file exists. A network file system looks again when its folder is listed."""
    try:
        return path.name in os.listdir(path.parent)  # noqa: PTH208
    except FileNotFoundError:
        return False
