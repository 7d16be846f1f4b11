"""Every collective of a communicator once, for tests of transports; run it under a launcher.

    LAUNCHER python collectives.py FOLDER

Each rank writes its answers to FOLDER/RANK.pt. It ends only if signals are heard in collectives.
"""

import signal
import sys
import time
import warnings
from pathlib import Path

import torch

from hvdtma.comm.join import join_trainers

ROOT = 1


def answers(comm):
    """The results of all collectives on this rank, as a dict."""
    random = torch.Generator().manual_seed(comm.rank)
    flat_P = torch.randn(10_001, generator=random)
    pieces = [
        torch.arange(comm.rank + 2 * other, dtype=torch.float64) for other in range(comm.size)
    ]
    own = {"rank": comm.rank, "rows": list(range(100 * comm.rank))}
    return {
        "all_reduce": comm.all_reduce(flat_P),
        "all_reduce of doubles": comm.all_reduce(flat_P.double()),
        "all_reduce of one value": comm.all_reduce(flat_P[:1]),
        "all_gather": comm.all_gather(flat_P[:7]),
        "broadcast_object": comm.broadcast_object(own, ROOT % comm.size),
        "all_gather_object": comm.all_gather_object(own),
        "gather_object": comm.gather_object(own),
        "all_to_all": comm.all_to_all(pieces),
    }


def hear_while_waiting(comm, heard):
    """Let rank 0 hear a signal in a collective that the others call only after that."""
    if comm.rank == 0:
        signal.signal(signal.SIGALRM, lambda *_: heard.touch())
        signal.setitimer(signal.ITIMER_REAL, 0.1)
    while comm.rank and not heard.exists():
        time.sleep(0.01)
    comm.all_gather(torch.zeros(1))


if __name__ == "__main__":
    warnings.simplefilter("error", FutureWarning)  # PyTorch's names of collectives change
    comm, folder = join_trainers(), Path(sys.argv[1])
    hear_while_waiting(comm, folder / "heard")
    torch.save(answers(comm), folder / f"{comm.rank}.pt")
