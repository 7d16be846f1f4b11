"""What a GPU machine shows, in one script of at most 10 minutes.

    python benchmarks/gpu.py [CASE] [--seconds 12] [--limit-s 600] [--device cpu]

CASE as for `time_to_score.py`, with links; without one, a synthetic graph of 300,000 nodes.
In turn:

- the tests that need a GPU;
- links/s of one trainer for each sampler, number of batch threads and precision, and links/s of
  DGL's loader with the same model, which samples on the CPU and computes on the GPU: compare it
  with "hops sampled", where all else is equal. GPU busy is the mean of `nvidia-smi`'s utilization;
- an all-reduce and three rounds of `hvdtma train` under torchrun, and under horovodrun if Horovod
  is installed: one process per GPU, over NCCL, and with a single GPU also two processes that share
  it, over Gloo.

Each measurement is a process of its own. One that fails, or finds a program missing, has the reason
in place of its figures; once `--limit-s` is over, the rest is skipped. `--device cpu` is a dry run.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from machine import TimeLimit, print_row
from peers import Case
from time_to_score import graph_of

from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.sources.synthetic import SyntheticGraph

HERE = Path(__file__).parent
STEPPING, COLLECTIVE = HERE / "gpu_steps.py", HERE / "gpu_collective.py"
SMALL = SyntheticGraph(5_000, 40_000, features=16)
LARGE = SyntheticGraph(300_000, 2_300_000, features=128, communities=1000)
TESTS = ["tests/models", "tests/hypergraph", "tests/sampling"]
PAPER = ["task.decoder=mlp", "task.loss=bce", "task.num_negatives=1", "task.batch_size=1024"]
PAPER += ["task.share_negatives=false", "model.fanouts=[10,25]", "optimizer.lr=0.001"]
NEIGHBOUR = ["sampler.name=neighbour", *PAPER]
DGL = "DGL's loader, paper's loss"
SETTINGS: dict[str, list[str] | None] = {
    DGL: None,
    "neighbour, paper's loss, hops sampled": [*NEIGHBOUR, "first_hop=false"],
    "neighbour, paper's loss, first hop stored": NEIGHBOUR,
    "the same, no threads": [*NEIGHBOUR, "sampler.workers=0"],
    "labor, paper's loss, first hop stored": ["sampler.name=labor", *PAPER],
    "defaults": [],
    "defaults, no threads": ["sampler.workers=0"],
    "defaults, 8 threads": ["sampler.workers=8"],
    "defaults, bfloat16": ["precision=bfloat16"],
    "defaults, 48,000 nodes": ["sampler.options.nodes=48000", "task.batch_size=16384"],
}
TOGETHER = "launcher processes all-reduce links/s_in_three_rounds fastest not_training"
START_S = 90  # the longest that a process may take besides its measurement
TESTS_S = 150


def main(
    case: Annotated[Path | None, typer.Argument()] = None,
    seconds: Annotated[float, typer.Option(help="of each setting")] = 12,
    limit_s: Annotated[float, typer.Option(help="of the whole script")] = 600,
    device: Annotated[str, typer.Option(help="cuda, or cpu for a dry run")] = "cuda",
    skip_tests: Annotated[bool, typer.Option()] = False,
) -> None:
    """Run the tests and print the tables."""
    limit = TimeLimit(limit_s, HERE.parent)
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU; --device cpu does a dry run")
    name = torch.cuda.get_device_name() if device == "cuda" else "a dry run on the CPU"
    graph = case.name if case else "a synthetic graph"
    print(f"{name}, PyTorch {torch.__version__}, {graph}\n", flush=True)
    if not skip_tests:
        said, reason = limit.run(
            [sys.executable, "-m", "pytest", "-q", "-k", "gpu", *TESTS], TESTS_S
        )
        print(f"tests: {reason or said.strip().splitlines()[-1]}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(case, Path(folder), device)
        print_row(["setting", "links/s", "GPU busy", "GPU memory, GiB"], heading=True)
        for title, settings in SETTINGS.items():
            of_contender = ["--dgl"] if settings is None else settings
            command = [sys.executable, "-W", "ignore", STEPPING, store, device, seconds]
            said, reason = limit.run([*command, *of_contender], seconds + START_S)
            print_row([title, *(cells(said) if said else [reason, "-", "-"])])
        print()
        print_row(TOGETHER.split(), heading=True)
        for launcher, number in launches(device):
            print_row(together(limit, launcher, number, store, device))


def make_store(case: Path | None, folder: Path, device: str) -> Path:
    """Build the store of the case, or of a synthetic graph."""
    path, options = folder / "case.zarr", BuildOptions(negatives=100)
    if case is None:
        build(path, LARGE if device == "cuda" else SMALL, options)
    else:
        build(path, graph_of(Case(case)), options)
    return path


def cells(said: str) -> list[str]:
    """The figures that `gpu_steps.py` printed, as cells of the table."""
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    busy, memory = found["busy"], found["memory"]
    return [
        f"{found['rate']:,.0f}",
        "-" if busy is None else f"{busy:.0%}",
        "-" if memory is None else f"{memory / 2**30:.2f}",
    ]


def launches(device: str) -> list[tuple[str, int]]:
    """Launchers and numbers of processes."""
    count = torch.cuda.device_count() if device == "cuda" else 0
    numbers = sorted({max(count, 1), max(count, 2)})
    return [(launcher, number) for launcher in ("torchrun", "horovodrun") for number in numbers]


def together(limit: TimeLimit, launcher: str, number: int, store: Path, device: str) -> list[str]:
    """A row: an all-reduce and three rounds of training, under a launcher."""
    start = [launcher, str(number)]
    if launcher == "horovodrun" and not importlib.util.find_spec("horovod"):
        return [*start, "Horovod is not installed", "-", "-", "-"]
    said, reason = limit.run([*command_of(launcher, number), COLLECTIVE, device], START_S)
    reduced = reason or re.sub(r"^\[\d+\]<stdout>: *", "", said.strip().splitlines()[-1])
    run = store.with_name(f"{launcher}-{number}")
    command = ["-m", "hvdtma", "train", f"store={store}", f"run={run}", f"device={device}"]
    command += ["rounds=3", "interval_s=3", "evaluate.mode=final", "evaluate.sample=1000"]
    _, reason = limit.run([*command_of(launcher, number), *command], START_S)
    if reason:
        return [*start, reduced, reason, "-", "-"]
    summary = json.loads((run / "summary.json").read_text())
    rates = [trainer["positives_per_s"] for trainer in summary["per_trainer"]]
    idle = f"{summary['share_not_training']:.1%}"
    return [*start, reduced, f"{sum(rates):,.0f}", f"{max(rates):,.0f}", idle]


def command_of(launcher: str, number: int) -> list[object]:
    """The command that starts a Python program in some processes."""
    if launcher == "torchrun":
        return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", number]
    return [Path(sys.executable).with_name(launcher), "-np", number, sys.executable]


if __name__ == "__main__":
    typer.run(main)
