"""Links/s of one trainer, or of DGL's loader, on a GPU; started by `gpu.py`.

    python benchmarks/gpu_steps.py STORE DEVICE SECONDS (--dgl | key=value ...)

Prints one line of JSON: `rate` in links/s, `busy`, the share of the time that the GPU was busy, and
`memory`, the largest number of bytes in use; the last two are null where nothing can tell.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from one_trainer import next_step, trainer_on
from peers import BATCH, FANOUTS, HIDDEN, PeerModel
from throughput import undirected_graph

from hvdtma.graph.store import GraphStore, open_store
from hvdtma.models.layers import SAGELayer
from hvdtma.sampling.block import Block
from hvdtma.sampling.dgl_backend import dgl

WARM_UP_STEPS = 20
EVERY_MS = 100
DGL_WORKERS = 4


def main() -> None:
    """Time the steps, and print the figures."""
    path, device_name, seconds, *settings = sys.argv[1:]
    store, device = open_store(path), torch.device(device_name)
    if settings == ["--dgl"]:
        take: Callable[[], int] = partial(next, dgl_steps(store, device))
    else:
        take = partial(next_step, trainer_on(store, [f"device={device_name}", *settings]))
    print(json.dumps(figures(take, device, float(seconds))))


def figures(take: Callable[[], int], device: torch.device, seconds: float) -> dict[str, object]:
    """Time steps; `take` returns the links of each."""
    for _ in range(WARM_UP_STEPS):
        take()
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    with utilization(device) as busy:
        start, links = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            links += take()
        if on_gpu:
            torch.cuda.synchronize()
        elapsed = time.perf_counter() - start
    return {
        "rate": links / elapsed,
        "busy": sum(busy) / len(busy) / 100 if busy else None,
        "memory": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


@contextmanager
def utilization(device: torch.device) -> Iterator[list[float]]:
    """The percentages that `nvidia-smi` reads meanwhile; the list is full at the end.

    It stays empty without the program, or if the GPU does not tell (a part of one, by MIG).
    """
    found: list[float] = []
    program = shutil.which("nvidia-smi")
    if device.type != "cuda" or program is None:
        yield found
        return
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    command = [program, "-i", uuid, *query, "-lms", str(EVERY_MS)]
    watcher = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield found
    finally:
        watcher.terminate()
        said, _ = watcher.communicate()
        found += [float(line) for line in said.split() if line.isdigit()]


def dgl_steps(store: GraphStore, device: torch.device) -> Iterator[int]:
    """Steps of DGL's loader on the CPU, and of the same model on the device; the links of each."""
    graph, edges, reverse = undirected_graph(store)
    x_ND = torch.from_numpy(store.read("feat")).float()
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        dgl.dataloading.NeighborSampler(FANOUTS),
        exclude="reverse_id",
        reverse_eids=reverse,
        negative_sampler=dgl.dataloading.negative_sampler.Uniform(1),
    )
    loader = dgl.dataloading.DataLoader(
        graph, edges, sampler, batch_size=BATCH, shuffle=True, num_workers=DGL_WORKERS
    )
    first, second = (SAGELayer(dim, HIDDEN) for dim in (x_ND.shape[1], HIDDEN))
    model = PeerModel(first, second).to(device)
    while True:
        for inputs, right, wrong, blocks in loader:
            h = x_ND[inputs].to(device)
            for number, block in enumerate(blocks):
                indptr, source, _ = block.adj_tensors("csc")
                moved = Block(indptr.long(), source, block.num_src_nodes()).to(device)
                h = (model.first, model.second)[number](moved, h)
                h = model.between(h) if number == 0 else h
            pairs = ((end.to(device) for end in each.edges()) for each in (right, wrong))
            model.step_on_links(*(h[u] * h[v] for u, v in pairs))
            yield right.num_edges()


if __name__ == "__main__":
    main()
