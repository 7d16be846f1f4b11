"""Seconds of an all-reduce of ten million float32 values on GPUs, under torchrun or horovodrun."""

from __future__ import annotations

import statistics
import time

import torch

from hvdtma.comm.join import join_trainers

VALUES, TIMES = 10_000_000, 20


def main() -> None:
    """Time the all-reduce; rank 0 prints the median."""
    comm = join_trainers()
    device = torch.device("cuda", comm.local_rank)
    torch.cuda.set_device(device)
    values, seconds = torch.ones(VALUES, device=device), []
    for _ in range(TIMES):
        torch.cuda.synchronize()
        start = time.perf_counter()
        summed = comm.all_reduce(values)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    assert float(summed[0]) == comm.size
    if comm.rank == 0:
        print(f"{1e3 * statistics.median(seconds):.2f} ms with {comm.size} GPU(s)")


if __name__ == "__main__":
    main()
