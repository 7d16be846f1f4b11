"""Tasks of one srun become trainers: no ssh, no MPI, no fixed port.

Rank 0 opens a port and writes its address, with a fresh secret, to a file that only its owner can
read. The other ranks wait for the file.

horovod     the port is the job's signed rendezvous, which closes when all ranks have met
torch       the port is PyTorch's TCPStore, which checks no signatures, on the interface towards
            the other nodes; the secret signs the objects that the trainers exchange
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from torch.distributed import TCPStore

from hvdtma.comm.communicator import Communicator
from hvdtma.comm.meeting_files import FailureNotes, RendezvousInfo, published, wait_for
from hvdtma.comm.rendezvous import Members, RendezvousClient, RendezvousGone, RendezvousServer
from hvdtma.comm.rendezvous.members import rank_infos
from hvdtma.comm.rendezvous.signing import new_secret
from hvdtma.comm.slurm_task import SlurmTask, own_address, require_node_list
from hvdtma.comm.torch_distributed import (
    TorchDistributedComm,
    init_default_group,
    use_interface_towards,
)
from hvdtma.comm.transport import has_horovod, require_horovod
from hvdtma.core.errors import TrainerError, UserError, explain

if TYPE_CHECKING:
    from hvdtma.comm.horovod import HorovodComm

MEET_TIMEOUT_S = 300.0


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
    this task or another one cannot meet the others: Horovod is not installed where it is needed,
    the folder cannot be written to, or the nodes' addresses are not known.
    """
    notes = FailureNotes(folder, task)
    try:
        _check_ground(task, folder)
        if task.rank == 0:
            notes.remove_old()
        return _meet(task, folder / f".hvdtma-{task.key}.json", transport, timeout_s, notes)
    except Exception as error:
        if isinstance(error, RendezvousGone):
            notes.wait()  # rank 0 has ended
        notes.write(error)
        raise


def _check_ground(task: SlurmTask, folder: Path) -> None:
    """Check on every task what rank 0 needs, so that all end at once if it is missing."""
    require_node_list(task.nodes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(explain(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{folder} cannot be written to; put run= into a folder that all trainers can write to"
        )


def _meet(
    task: SlurmTask, path: Path, transport: str, timeout_s: float, notes: FailureNotes
) -> Communicator:
    if task.rank != 0:
        info = wait_for(path, timeout_s, notes.check)
        join = _join_torch if info.transport == "torch" else _join_horovod
        return join(task, info, notes)
    if transport == "torch" or (transport == "auto" and not has_horovod()):
        return _serve_torch(task, path, notes)
    return _serve_horovod(task, path, timeout_s, notes)


def _serve_horovod(
    task: SlurmTask, path: Path, timeout_s: float, notes: FailureNotes
) -> HorovodComm:
    require_horovod("--comm is horovod")
    members = Members(
        expected=task.size, minimum=task.size, start_timeout_s=0, rejoin_timeout_s=timeout_s
    )
    with RendezvousServer(own_address(task.nodes), new_secret(), members.answer) as server:
        info = RendezvousInfo(server.address, server.port, server.secret)
        with published(info, path):
            return _join_horovod(task, info, notes)


def _join_horovod(task: SlurmTask, info: RendezvousInfo, notes: FailureNotes) -> HorovodComm:
    """Join the rendezvous. Returns when all ranks have, so that rank 0 may close it."""
    require_horovod("rank 0 uses Horovod")
    from hvdtma.comm.groups import RendezvousGroup
    from hvdtma.comm.horovod import HorovodComm

    client = RendezvousClient(info.address, info.port, info.secret)
    name = f"{task.rank:08d}"  # ranks are given in the order of names
    group = RendezvousGroup(client, name, task.node, elastic=False, check=notes.check)
    comm = HorovodComm(group)
    comm.all_gather_object(None)
    return comm


def _serve_torch(task: SlurmTask, path: Path, notes: FailureNotes) -> TorchDistributedComm:
    listener = socket.create_server((own_address(task.nodes), 0))
    address, port = listener.getsockname()
    store = TCPStore(
        address, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )
    info = RendezvousInfo(address, port, new_secret(), "torch")
    with published(info, path):
        return _torch_communicator(task, info, store, notes)


def _join_torch(task: SlurmTask, info: RendezvousInfo, notes: FailureNotes) -> TorchDistributedComm:
    try:
        store = TCPStore(info.address, info.port, wait_for_workers=False)
    except RuntimeError as error:
        where = f"{info.address}:{info.port}"
        raise TrainerError(f"rank 0's store at {where} cannot be reached: {error}") from error
    return _torch_communicator(task, info, store, notes)


def _torch_communicator(
    task: SlurmTask, info: RendezvousInfo, store: TCPStore, notes: FailureNotes
) -> TorchDistributedComm:
    use_interface_towards(info.address)
    init_default_group(store, task.rank, task.size, notes.check)
    comm = TorchDistributedComm(secret=info.secret)
    own = rank_infos(comm.all_gather_object(task.node), generation=0)[comm.rank]
    comm.local_rank, comm.local_size = own.local_rank, own.local_size
    return comm
