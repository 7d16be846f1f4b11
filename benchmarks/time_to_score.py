"""Seconds of training to a score, beside what people would use instead, on the same case.

    python benchmarks/time_to_score.py CASE [--seconds 240] [--set sampler.name=neighbour ...]

CASE is a folder with `feat.npy` [N, D] and `case.npz`. For links, it has the pairs `train`, `valid`
and `test` [n, 2], and destinations `valid_neg` and `test_neg` [n, K]. For labels of nodes, it has
`edges` [n, 2], `label` [N], and the nodes `train`, `valid` and `test` [n]. Edges are undirected.
The contenders run in turn, each in a process of its own:

- `hvdtma`: one trainer with the defaults, or with what `--set` changes. A schedule of the learning
  rate ends with the seconds, or counts steps; there are no rounds;
- `dgl` and `pyg`: the TMA paper's recipe with the loader and the layers of these libraries
  (`peers.py`), `pyg` where pyg-lib or torch-sparse is installed.

Time is training time: the clock stands still while a model is scored, and while programs start and
compile. Making clusters counts. The store is built before, in another process, so that peak memory
is that of training and scoring. Scores are the MRR of the first 2,000 links of a part, or the
accuracy of all its nodes, embedded from all training neighbours. The table has the seconds to 99 %
of the best validation score of the contender whose best is the lowest; `curves.json` in CASE has
all of it.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from one_trainer import next_step, trainer_on
from peers import LINKS, PEERS, Case, Contender, has_pyg_sampler

from hvdtma.evaluation.score import Scorer
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import RawGraph
from hvdtma.graph.source import Pairs
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.storage.node_ids import NodeIds
from hvdtma.training.learning_rate import apply_schedule

WARM_UP_STEPS = 2


def main(
    case: Path,
    seconds: Annotated[float, typer.Option()] = 240,
    every: Annotated[float, typer.Option(help="seconds between two scores")] = 10,
    contenders: Annotated[str, typer.Option(help="separated by commas")] = "hvdtma,dgl,pyg",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the config")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    only: Annotated[str, typer.Option(hidden=True)] = "",
    store: Annotated[Path, typer.Option(hidden=True)] = Path("unused"),
) -> None:
    """Run the contenders in turn and print the table."""
    settings = [f"seed={seed}", f"time_limit_s={seconds}", *(set_ or [])]
    if only:
        print(json.dumps(run(only, case, seconds, every, settings, seed, store)))
        return
    names = [name for name in contenders.split(",") if name != "pyg" or has_pyg_sampler()]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "case.zarr"
        if "hvdtma" in names:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                pool.submit(prepare, case, store, settings).result()
        options = [f"--seconds={seconds}", f"--every={every}", f"--seed={seed}", f"--store={store}"]
        options += [f"--set={each}" for each in set_ or []]
        for name in names:
            command = [sys.executable, "-W", "ignore", __file__, str(case), f"--only={name}"]
            done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE)
            results[name] = json.loads(done.stdout.splitlines()[-1])
    (case / "curves.json").write_text(json.dumps(results))
    print_table(case.name, results, seconds)


def run(
    name: str,
    case: Path,
    seconds: float,
    every: float,
    settings: list[str],
    seed: int,
    store: Path,
) -> dict[str, Any]:
    """Train one contender; its curve, rate, memory and test score."""
    torch.manual_seed(seed)
    if name == "hvdtma":
        steps, score = ours(open_store(store), settings)
    else:
        steps, score = PEERS[name](Case(case))
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
        reached = next((at for at, score in each["curve"] if score >= wanted), float("inf"))
        print(
            f"| {name} | {each['rate']:,.0f} | {reached:.0f} | {best[name]:.4f} | "
            f"{each['test']:.4f} | {each['peak'] / 2**30:.2f} |"
        )


def prepare(case: Path, path: Path, settings: list[str]) -> None:
    """Build the case's store, and compile what training on it takes."""
    store = build(path, graph_of(Case(case)), BuildOptions())
    warm_up(store, settings_on(store, settings))


def settings_on(store: GraphStore, settings: list[str]) -> list[str]:
    """The settings, for labels of nodes where the store has them."""
    return ["task.name=nodes"] * ("label" in store) + settings


def warm_up(store: GraphStore, settings: list[str]) -> None:
    """Take steps of a trainer of its own: they compile, or read what was compiled."""
    trainer = trainer_on(store, settings)
    for _ in range(WARM_UP_STEPS):
        next_step(trainer)
    trainer.release_shard()


def ours(store: GraphStore, settings: list[str]) -> Contender:
    """One trainer of hvdtma."""
    settings = settings_on(store, settings)
    warm_up(store, settings)
    trainer = trainer_on(store, settings)
    config = trainer.config
    unit = config.optimizer.schedule.unit
    if unit == "rounds" and not config.optimizer.schedule.is_constant:
        raise SystemExit("there are no rounds here; optimizer.schedule.unit is steps or seconds")
    scorer = Scorer(config, store, trainer.device)
    metric = scorer.task.metrics[0]
    if config.task.name == "links":
        for part in scorer.held_out:
            first = np.arange(min(LINKS, scorer.task.num_held_out(part)))
            scorer.held_out[part] = scorer.task.read_held_out(part, first)

    def steps() -> Iterator[int]:
        done = {"steps": 0.0, "seconds": 0.0}
        while True:
            start = time.perf_counter()
            apply_schedule(trainer.optimizer, config, done.get(unit, 0.0))
            links = next_step(trainer)
            done["steps"] += 1
            done["seconds"] += time.perf_counter() - start
            yield links

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
    graph.link_split = {"train": Pairs(*pairs.T)}
    for part in ("valid", "test"):
        src, dst = arrays[part].T
        graph.link_split[part] = Pairs(src, dst, arrays[f"{part}_neg"])
    return graph


if __name__ == "__main__":
    typer.run(main)
