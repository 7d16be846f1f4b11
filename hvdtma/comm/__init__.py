"""Communication between trainers: the communicators, and the choice of one by launcher.

communicator.py        the protocol: collectives in rank order, the same bits on every transport
single_process.py      one trainer alone
in_process.py          many trainers in one process, for simulation and tests
processes.py           the base class of the next two
horovod.py             Horovod; groups.py enters its groups of ranks
torch_distributed.py   torch.distributed: Gloo and NCCL
join.py                the choice of a communicator by launcher: `join_trainers`
rendezvous/            the ranks of Horovod find one another by a server
slurm_meeting.py       the tasks of one srun find one another by a file

Names are loaded when they are first used (PEP 562): the driver of elastic trainers and the tasks of
a Slurm job use parts of this package that need no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hvdtma.comm.communicator import Communicator
    from hvdtma.comm.in_process import InProcessGroup
    from hvdtma.comm.single_process import SingleProcess

__all__ = ["Communicator", "InProcessGroup", "SingleProcess"]

_HOMES = {
    "Communicator": "hvdtma.comm.communicator",
    "InProcessGroup": "hvdtma.comm.in_process",
    "SingleProcess": "hvdtma.comm.single_process",
}

if not TYPE_CHECKING:  # a type checker would take any name for an export

    def __getattr__(name: str) -> Any:
        """Load an exported name when it is first used."""
        if name not in _HOMES:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
