"""How trainers reach one another: the communicators, and the choice between them.

communicator.py        the protocol: collectives in rank order, the same bits on every transport
single_process.py      one trainer alone
in_process.py          many trainers in one process, for simulation and tests
processes.py           what the next two have in common
horovod.py             Horovod; groups.py enters its groups of ranks
torch_distributed.py   torch.distributed: Gloo and NCCL
launch.py              the choice by launcher: `join_trainers`
rendezvous/            how the ranks of Horovod find one another
slurm_meeting.py       how the tasks of one srun find one another
"""

from hvdtma.comm.communicator import Communicator
from hvdtma.comm.in_process import InProcessGroup
from hvdtma.comm.single_process import SingleProcess

__all__ = ["Communicator", "InProcessGroup", "SingleProcess"]
