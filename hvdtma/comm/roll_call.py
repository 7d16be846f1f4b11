"""Which trainers were lost, where the transport only says that one was.

Each trainer keeps a port open that nothing is read from. The system accepts connections to it as
long as the process lives, whatever the process is doing. So a trainer whose port refuses has ended,
and one that does not answer is on a machine that cannot be reached.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import psutil

from hvdtma.comm.communicator import Communicator
from hvdtma.comm.processes import ProcessCommunicator

LOOPBACK = "127.0.0.1"
INTERFACES = ("HOROVOD_GLOO_IFACE", "GLOO_SOCKET_IFNAME")  # towards the other trainers
CONNECT_TIMEOUT_S = 1.0
CLOSING_TIMEOUT_S = 2.0  # a process that ends may close its connections one after the other
RETRY_S = 0.2
MAX_THREADS = 32


@dataclass(frozen=True)
class Place:
    """A trainer's rank, its node, and its port; port 0: it has none."""

    rank: int
    node: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"trainer {self.rank} on {self.node}"

    @property
    def answers(self) -> bool:
        """Whether the trainer's process lives, and its machine can be reached."""
        try:
            socket.create_connection((self.address, self.port), CONNECT_TIMEOUT_S).close()
        except OSError:
            return False
        return True


class RollCall:
    """The trainers of a job that is not elastic; a context manager, which keeps this one's port.

    Collective. A group that is elastic, or in one process, needs none and has no places.
    """

    def __init__(self, comm: Communicator):
        self.rank = comm.rank
        self._listener: socket.socket | None = None
        self.places: list[Place] = []
        if comm.elastic or comm.size == 1 or not isinstance(comm, ProcessCommunicator):
            return
        machines = comm.all_gather_object(platform.node())
        address = LOOPBACK if len(set(machines)) == 1 else _own_address()
        with suppress(OSError):  # no such address here: this trainer cannot be asked
            self._listener = socket.create_server((address, 0), backlog=comm.size)
        port = self._listener.getsockname()[1] if self._listener else 0
        node = os.environ.get("SLURMD_NODENAME", machines[comm.rank])
        found = comm.all_gather_object((node, address, port))
        self.places = [Place(rank, *place) for rank, place in enumerate(found)]

    def __enter__(self) -> RollCall:
        return self

    def __exit__(self, *error: object) -> None:
        if self._listener:
            self._listener.close()

    def lost(self) -> list[Place]:
        """The trainers that do not answer; none if that cannot be found out."""
        others = [place for place in self.places if place.rank != self.rank and place.port]
        deadline = time.monotonic() + CLOSING_TIMEOUT_S
        with ThreadPoolExecutor(MAX_THREADS) as pool:
            while others:
                answers = pool.map(lambda place: place.answers, others)
                missing = [place for place, there in zip(others, answers, strict=True) if not there]
                if missing or time.monotonic() > deadline:
                    return missing
                time.sleep(RETRY_S)
        return []

    def reports(self, lost: list[Place]) -> bool:
        """Whether this trainer reports the loss: the first one that is left."""
        gone = {place.rank for place in lost}
        return all(rank in gone for rank in range(self.rank))


def _own_address() -> str:
    """This machine's address towards the other trainers."""
    interfaces = psutil.net_if_addrs()
    for variable in INTERFACES:
        for entry in interfaces.get(os.environ.get(variable, ""), []):
            if entry.family == socket.AF_INET:
                return str(entry.address)
    with suppress(OSError):
        return socket.gethostbyname(socket.gethostname())
    return LOOPBACK
