"""Seconds of training to a score, beside what people would use instead, on the same case.

    python benchmarks/time_to_score.py CASE [--seconds 240] [--set sampler.name=neighbour ...]

CASE is a folder with `feat.npy` [N, D] and `case.npz`. For links, it has the pairs `train`, `valid`
and `test` [n, 2], and destinations `valid_neg` and `test_neg` [n, K]. For labels of nodes, it has
`edges` [n, 2], `label` [N], and the nodes `train`, `valid` and `test` [n]. Edges are undirected.
The contenders run in turn, each in a process of its own:

- `hvdtma`: one trainer with the defaults, or with what `--set` changes;
- `dgl` and `pyg`: the TMA paper's recipe with the loader and the layers of these libraries
  (`peers.py`), `pyg` where pyg-lib or torch-sparse is installed.

Time is training time: the clock stands still while a model is scored, and while programs start and
compile. Making clusters counts. Scores are the MRR of the first 2,000 links of a part, or the
accuracy of all its nodes, embedded from all training neighbours. The table has the seconds to 99 %
of the best validation score of the contender whose best is the lowest; `curves.json` in CASE has
all of it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from peers import LINKS, PEERS, Case, Contender, has_pyg_sampler

from hvdtma.comm import SingleProcess
from hvdtma.core.train_config import load_train_config
from hvdtma.evaluation.score import Scorer
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.storage.node_ids import NodeIds
from hvdtma.training.set_up import make_trainer, set_up_device

WARM_UP_STEPS = 2


def main(
    case: Path,
    seconds: Annotated[float, typer.Option()] = 240,
    every: Annotated[float, typer.Option(help="seconds between two scores")] = 10,
    contenders: Annotated[str, typer.Option(help="separated by commas")] = "hvdtma,dgl,pyg",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the config")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Run the contenders in turn and print the table."""
    if only:
        result = run(only, case, seconds, every, set_ or [], seed)
        print(json.dumps(result))
        return
    names = [name for name in contenders.split(",") if name != "pyg" or has_pyg_sampler()]
    results = {}
    for name in names:
        options = [f"--seconds={seconds}", f"--every={every}", f"--seed={seed}"]
        options += [f"--set={each}" for each in set_ or []]
        command = [sys.executable, "-W", "ignore", __file__, str(case), f"--only={name}", *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
    (case / "curves.json").write_text(json.dumps(results))
    print_table(case.name, results, seconds)


def run(
    name: str, case: Path, seconds: float, every: float, changes: list[str], seed: int
) -> dict[str, Any]:
    """Train one contender; its curve, rate, memory and test score."""
    torch.manual_seed(seed)
    opened = Case(case)
    steps, score = ours(opened, changes, seed) if name == "hvdtma" else PEERS[name](opened)
    curve: list[tuple[float, float]] = []
    spent, links, mark = 0.0, 0, every
    while spent < seconds:
        start = time.perf_counter()
        links += next(steps)
        spent += time.perf_counter() - start
        if spent >= mark or spent >= seconds:
            curve.append((spent, score("valid")))
            print(f"{name} {spent:6.1f} s  {curve[-1][1]:.4f}", file=sys.stderr, flush=True)
            mark = (spent // every + 1) * every
    return {
        "curve": curve,
        "rate": links / spent,
        "test": score("test"),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def print_table(case: str, results: dict[str, dict[str, Any]], seconds: float) -> None:
    """Print one row per contender."""
    best = {name: max(score for _, score in each["curve"]) for name, each in results.items()}
    wanted = 0.99 * min(best.values())
    print(f"\n{case}, {seconds:.0f} s of training, {torch.get_num_threads()} threads\n")
    print(f"| contender | examples/s | seconds to {wanted:.4f} | best valid | test | peak GiB |")
    print("|---|---|---|---|---|---|")
    for name, each in results.items():
        reached = next(spent for spent, score in each["curve"] if score >= wanted)
        print(
            f"| {name} | {each['rate']:,.0f} | {reached:.0f} | {best[name]:.4f} | "
            f"{each['test']:.4f} | {each['peak'] / 2**30:.2f} |"
        )


def ours(case: Case, changes: list[str], seed: int) -> Contender:
    """One trainer of hvdtma on a store that is built for it."""
    folder = Path(tempfile.mkdtemp())
    store = build(folder / "case.zarr", graph_of(case), BuildOptions())
    settings = [f"store={store.path}", f"run={folder}/run", "rounds=1", f"seed={seed}"]
    if case.has_labels:
        settings.append("task.name=nodes")
    config = load_train_config(None, [*settings, *changes])
    comm = SingleProcess()
    device = set_up_device(config, comm)
    warm = make_trainer(config, store, comm, device)
    for _ in range(WARM_UP_STEPS):  # compiles, or reads what was compiled
        warm.take_step()
    warm.release_shard()
    trainer = make_trainer(config, store, comm, device)
    scorer = Scorer(config, store, device)
    metric = scorer.task.metrics[0]
    if not case.has_labels:
        first = np.arange(LINKS)
        scorer.held_out = {p: scorer.task.read_held_out(p, first) for p in scorer.held_out}

    def steps() -> Iterator[int]:
        while True:
            yield trainer.take_step()[1]

    return steps(), lambda part: scorer(trainer.model, part)[metric]


def graph_of(case: Case) -> RawGraph:
    """The case as a source, with its own split."""
    arrays = {name: values.numpy() for name, values in case.arrays.items()}
    pairs = arrays["edges" if case.has_labels else "train"]
    graph = RawGraph(
        src=pairs[:, 0],
        dst=pairs[:, 1],
        node_id=NodeIds.counted(len(case.x)),
        undirected=True,
        feat=case.x.numpy(),
    )
    if case.has_labels:
        graph.label = arrays["label"].astype(np.int32)
        graph.label_names = [str(number) for number in range(arrays["label"].max() + 1)]
        graph.node_split = {part: arrays[part] for part in ("train", "valid", "test")}
        return graph
    graph.link_split = {"train": Pairs(*pairs.T)} | {
        part: Pairs(*arrays[part].T, neg=arrays[f"{part}_neg"]) for part in ("valid", "test")
    }
    return graph


if __name__ == "__main__":
    typer.run(main)
