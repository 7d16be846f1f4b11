"""How trainers reach one another: Horovod, or many trainers in one process."""

from hvdtma.comm.communicator import Communicator, Single
from hvdtma.comm.in_process import InProcessGroup

__all__ = ["Communicator", "InProcessGroup", "Single"]
