"""Every collective of a communicator once, for tests of transports; run it under a launcher.

    LAUNCHER python collectives.py FOLDER

Each rank writes its answers to FOLDER/RANK.pt.
"""

import sys
import warnings
from pathlib import Path

import torch

from hvdtma.comm.launch import join_trainers

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


if __name__ == "__main__":
    warnings.simplefilter("error", FutureWarning)  # PyTorch's names of collectives change
    comm = join_trainers()
    torch.save(answers(comm), Path(sys.argv[1]) / f"{comm.rank}.pt")
