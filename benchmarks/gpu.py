"""What a GPU machine shows, in one script of at most 10 minutes.

    python benchmarks/gpu.py CASE [--seconds 20] [--skip-tests]

CASE as for `time_to_score.py`. In turn: the tests that need a GPU; an aggregation of two trainers
over NCCL with torchrun, if there are two GPUs, and over Horovod if it is built; links/s of one
trainer for each sampler, number of batch threads and precision; links/s of DGL's loader with the
same model, which samples on the CPU and computes on the GPU. The share of time that the GPU was
busy is NVML's `utilization.gpu`, sampled ten times a second. Prints one table, with the device.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from peers import BATCH, FANOUTS, HIDDEN, Case, PeerModel
from time_to_score import graph_of

from hvdtma.comm import SingleProcess
from hvdtma.core.train_config import load_train_config
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.store import GraphStore
from hvdtma.models.layers import SAGELayer
from hvdtma.sampling.block import Block
from hvdtma.sampling.dgl_backend import dgl
from hvdtma.training.set_up import make_trainer, set_up_device

WARM_UP_STEPS = 20
PAPER = [
    "task.decoder=mlp",
    "task.loss=bce",
    "task.num_negatives=1",
    f"task.batch_size={BATCH}",
    "optimizer.lr=0.001",
]
SETTINGS = {
    "neighbour, paper's loss": ["sampler.name=neighbour", *PAPER],
    "neighbour, paper's loss, no threads": ["sampler.name=neighbour", "sampler.workers=0", *PAPER],
    "labor, paper's loss": ["sampler.name=labor", *PAPER],
    "defaults": [],
    "defaults, no threads": ["sampler.workers=0"],
    "defaults, 8 threads": ["sampler.workers=8"],
    "defaults, bfloat16": ["precision=bfloat16"],
    "defaults, 48,000 nodes": ["sampler.options.nodes=48000", "task.batch_size=16384"],
}


def main(
    case: Path,
    seconds: Annotated[float, typer.Option(help="of each setting")] = 20,
    skip_tests: Annotated[bool, typer.Option()] = False,
) -> None:
    """Run the tests and print the table."""
    if not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU")
    root = Path(__file__).parents[1]
    if not skip_tests:
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-k", "gpu"], cwd=root, check=False)
    opened = Case(case)
    store = build(Path(tempfile.mkdtemp()) / "case.zarr", graph_of(opened), BuildOptions())
    print(f"\n{torch.cuda.get_device_name()}, {torch.__version__}, {case.name}\n")
    print("| setting | links/s | GPU busy | GPU memory, GiB |\n|---|---|---|---|")
    for name, settings in SETTINGS.items():
        print_row(name, ours(store, settings), seconds)
    print_row("DGL's loader, paper's loss", dgl_on_gpu(opened), seconds)
    for launcher in launchers():
        print_collective(launcher)


def print_row(name: str, steps: Iterator[int], seconds: float) -> None:
    """Time the steps of a setting, and print its row."""
    for _ in range(WARM_UP_STEPS):
        next(steps)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    busy, over = [], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            busy.append(torch.cuda.utilization())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, links = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        links += next(steps)
    torch.cuda.synchronize()
    elapsed = time.perf_counter() - start
    over.set()
    watcher.join()
    used = torch.cuda.max_memory_allocated() / 2**30
    share = sum(busy) / max(len(busy), 1) / 100
    print(f"| {name} | {links / elapsed:,.0f} | {share:.0%} | {used:.2f} |", flush=True)


def ours(store: GraphStore, settings: list[str]) -> Iterator[int]:
    """Steps of a trainer on the GPU; the links of each."""
    given = [f"store={store.path}", "run=unused", "rounds=1", "device=cuda"]
    config = load_train_config(None, [*given, *settings])
    comm = SingleProcess()
    trainer = make_trainer(config, store, comm, set_up_device(config, comm))
    while True:
        yield trainer.take_step()[1]


def dgl_on_gpu(case: Case) -> Iterator[int]:
    """Steps of DGL's loader on the CPU and of the same model on the GPU; the links of each."""
    device, links = torch.device("cuda"), case.ends.shape[1] // 2
    graph = dgl.graph(tuple(case.ends), num_nodes=len(case.x))
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        dgl.dataloading.NeighborSampler(FANOUTS),
        exclude="reverse_id",
        reverse_eids=torch.cat([torch.arange(links, 2 * links), torch.arange(links)]),
        negative_sampler=dgl.dataloading.negative_sampler.Uniform(1),
    )
    loader = dgl.dataloading.DataLoader(
        graph, torch.arange(links), sampler, batch_size=BATCH, shuffle=True, num_workers=4
    )
    model = PeerModel(case, *(SAGELayer(dim, HIDDEN) for dim in (case.x.shape[1], HIDDEN)))
    model.to(device)
    model.optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    while True:
        for inputs, right, wrong, blocks in loader:
            h = case.x[inputs].to(device)
            for number, block in enumerate(blocks):
                indptr, source, _ = block.adj_tensors("csc")
                on_gpu = Block(indptr.long(), source, block.num_src_nodes()).to(device)
                h = (model.first, model.second)[number](on_gpu, h)
                h = model.between(h) if number == 0 else h
            pairs = ((end.to(device) for end in edges.edges()) for edges in (right, wrong))
            model.step_on_links(*(h[u] * h[v] for u, v in pairs))
            yield right.num_edges()


def launchers() -> list[list[str]]:
    """The commands that start one process per GPU."""
    number = str(torch.cuda.device_count())
    found = [[sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", number]]
    if importlib.util.find_spec("horovod"):
        found.append([str(Path(sys.executable).with_name("horovodrun")), "-np", number])
    return found


def print_collective(launcher: list[str]) -> None:
    """Time an all-reduce of ten million values on all GPUs."""
    python = [] if "torch.distributed.run" in launcher else [sys.executable]
    command = [*launcher, *python, str(Path(__file__).with_name("gpu_collective.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()[-1:]
    print(f"all-reduce, {Path(launcher[0]).name}: {said[-1] if said else 'no output'}", flush=True)


if __name__ == "__main__":
    typer.run(main)
