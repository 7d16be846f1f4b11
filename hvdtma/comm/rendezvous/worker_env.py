"""The environment variables by which a driver tells a trainer where to find the rendezvous."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hvdtma.comm.rendezvous.client import RendezvousClient

VARIABLES = (
    "HVDTMA_ADDRESS",
    "HVDTMA_PORT",
    "HVDTMA_SECRET",
    "HVDTMA_NAME",
    "HVDTMA_HOST",
    "HVDTMA_SLOT",
    "HVDTMA_REJOIN_TIMEOUT_S",
)


@dataclass(frozen=True)
class WorkerEnv:
    """The job's rendezvous, and the name and place of a trainer that a driver started.

    Attributes:
        address, port, secret: of the rendezvous.
        name: of the trainer, unique in the job.
        host: the node's name.
        slot: the trainer's number on its node.
        rejoin_timeout_s: how long a trainer goes on asking a rendezvous that is slow.
    """

    address: str
    port: int
    secret: str
    name: str
    host: str
    slot: int
    rejoin_timeout_s: float

    @classmethod
    def from_environ(cls) -> WorkerEnv | None:
        """The variables of this process; None if no driver started it."""
        if any(key not in os.environ for key in VARIABLES):
            return None
        address, port, secret, name, host, slot, timeout_s = (os.environ[key] for key in VARIABLES)
        return cls(address, int(port), secret, name, host, int(slot), float(timeout_s))

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of the trainer."""
        return dict(zip(VARIABLES, map(str, vars(self).values()), strict=True))

    @property
    def client(self) -> RendezvousClient:
        return RendezvousClient(self.address, self.port, self.secret)
