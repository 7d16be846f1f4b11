"""Tasks of one srun become trainers: no ssh, no MPI, no fixed port.

The task of rank 0 serves the job's rendezvous until all have met, and says where in a file that
only its owner can read; the others wait for that file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hvdtma.comm.groups import RendezvousGroup
from hvdtma.comm.horovod import HorovodComm
from hvdtma.comm.rendezvous import Members, RendezvousClient, RendezvousServer
from hvdtma.comm.rendezvous.signing import new_secret
from hvdtma.comm.slurm_task import SlurmTask, own_address
from hvdtma.core.errors import TrainerError

MEET_TIMEOUT_S = 300.0
LOOK_S = 0.1


@dataclass(frozen=True)
class RendezvousInfo:
    """Where a job's rendezvous is, and its secret."""

    address: str
    port: int
    secret: str

    @property
    def client(self) -> RendezvousClient:
        return RendezvousClient(self.address, self.port, self.secret)


def meet(task: SlurmTask, folder: Path, *, timeout_s: float = MEET_TIMEOUT_S) -> HorovodComm:
    """The step's tasks as trainers of the same ranks; each of them calls this.

    Args:
        folder: that all nodes see; made if it is not there.

    Raises TrainerError if rank 0's file, or another task, is not seen in time.
    """
    path = folder / f".hvdtma-{task.key}.json"
    if task.rank != 0:
        return _enter(task, wait_for(path, timeout_s))
    members = Members(
        wanted=task.size, minimum=task.size, start_timeout_s=0, rejoin_timeout_s=timeout_s
    )
    with RendezvousServer(own_address(task.nodes), new_secret(), members.answer) as server:
        where = RendezvousInfo(server.address, server.port, server.secret)
        with shown(where, path):
            return _enter(task, where)


def _enter(task: SlurmTask, where: RendezvousInfo) -> HorovodComm:
    """Meet the others; ends when all have, so that the rendezvous may close."""
    name = f"{task.rank:08d}"  # ranks go by name
    comm = HorovodComm(RendezvousGroup(where.client, name, task.node, elastic=False))
    comm.all_gather_object(None)
    return comm


@contextmanager
def shown(where: RendezvousInfo, path: Path) -> Iterator[None]:
    """A file (mode 0600) that says where, while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    for left in (beside, path):
        left.unlink(missing_ok=True)
    try:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as opened:
            json.dump(vars(where), opened)
        beside.rename(path)
        yield
    finally:
        beside.unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def wait_for(path: Path, timeout_s: float) -> RendezvousInfo:
    """What rank 0's file says, once it is there.

    Raises TrainerError if it is not seen in time, or is not this user's own.
    """
    deadline = time.monotonic() + timeout_s
    while not _listed(path):
        if time.monotonic() > deadline:
            raise TrainerError(
                f"{path} did not appear on {os.uname().nodename} within {timeout_s:.0f} s: rank 0 "
                "has not started, or its folder is not shared between the nodes; put run= into "
                "a folder that all of them see"
            )
        time.sleep(LOOK_S)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise TrainerError(f"{path} is not this user's own alone; it is not trusted")
            return RendezvousInfo(**json.load(file))
    except OSError as error:  # a link, or gone again: rank 0 has ended
        raise TrainerError(f"{path} cannot be read: {error.strerror}") from error


def _listed(path: Path) -> bool:
    """Whether a file is there; listing its folder, a network file system looks again."""
    try:
        return path.name in os.listdir(path.parent)  # noqa: PTH208
    except FileNotFoundError:
        return False
