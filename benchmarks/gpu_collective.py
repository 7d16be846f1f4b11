"""Milliseconds of an all-reduce of ten million float32 values, under torchrun or horovodrun.

    python benchmarks/gpu_collective.py DEVICE

Started by `gpu.py`. Trainers that share a GPU reduce over Gloo, in the memory of the host.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch

from hvdtma.comm.join import join_trainers

VALUES, TIMES = 10_000_000, 20


def main(kind: str) -> None:
    """Time the all-reduce; rank 0 prints the median."""
    comm = join_trainers()
    device = torch.device("cpu")
    if kind == "cuda":
        device = torch.device("cuda", comm.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    values, seconds = torch.ones(VALUES, device=device), []
    for _ in range(TIMES):
        wait_for(device)
        start = time.perf_counter()
        summed = comm.all_reduce(values)
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    if float(summed[0]) != comm.size:
        raise SystemExit(f"the sum of {comm.size} ones is {float(summed[0])}")
    if comm.rank == 0:
        print(f"{1e3 * statistics.median(seconds):.2f} ms")


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main(sys.argv[1])
