"""What a driver tells the trainers that it starts, in their environment."""

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
)


@dataclass(frozen=True)
class WorkerEnv:
    """Where the job's rendezvous is, its secret, and the trainer's name, host and slot there."""

    address: str
    port: int
    secret: str
    name: str
    host: str
    slot: int

    @classmethod
    def here(cls) -> WorkerEnv | None:
        """The invitation of this process; None if no driver started it."""
        if any(key not in os.environ for key in VARIABLES):
            return None
        address, port, secret, name, host, slot = (os.environ[key] for key in VARIABLES)
        return cls(address, int(port), secret, name, host, int(slot))

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of the trainer."""
        return dict(zip(VARIABLES, map(str, vars(self).values()), strict=True))

    @property
    def client(self) -> RendezvousClient:
        return RendezvousClient(self.address, self.port, self.secret)
