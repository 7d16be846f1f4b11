"""Building graphs of growing size within a memory limit, and training on them out of core.

    python benchmarks/scale.py --edges 1e6 --edges 1e7 --edges 1e8 --edges 1.3e9

Synthetic graphs with 10.7 edges a node, as in the citation graph of 121 million papers and 1.3
billion links, 32 features in half precision, 10,000 links held out for validation and as many for
test. Every build is a process of its own, whose peak memory the kernel reports. The rate of plain
sequential writes to this disk is measured in the same run. Two trainers then train for a while,
each within `--trainer-gb`. A third table has the nanoseconds per sampled edge of the compiled
samplers, for random seeds and fanout 25 (with all threads; those with one in brackets), and the
links/s of one trainer within `--trainer-gb` that has the machine to itself: with the defaults, and
with neighbours sampled. Stores and runs are removed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from machine import disk_bytes, measured, print_row, write_rate
from one_trainer import step_rate, trainer_on
from sampling import sampling_rates

from hvdtma.graph.store import open_store

EDGES_PER_NODE = 10.7
SHAPE = "features=32,communities=1000,directed=true"
BUILT = "edges nodes seconds edges/s first_hop_s edges/s_without peak_GiB store_GB bytes/edge"
TRAINED = "edges memory_gb sets rounds positives/s read_GB GB/s waited_s peak_GiB test_MRR test_s"
STEPS = (
    "edges in_memory neighbour_ns/edge with_renumbering labor_ns/edge with_renumbering "
    "links/s links/s,_neighbour"
)
SEEDS = 4096


def main(
    edges: Annotated[list[float], typer.Option(help="Number of edges of a graph.")],
    memory_gb: Annotated[float, typer.Option(help="Memory limit of a build in GiB.")] = 8,
    trainer_gb: Annotated[float, typer.Option(help="Memory limit of each trainer in GiB.")] = 4,
    seconds: Annotated[float, typer.Option(help="Seconds of training; 0: none.")] = 180,
    steps: Annotated[int, typer.Option(help="Steps of one trainer, and samples; 0: none.")] = 30,
    first_hop: Annotated[bool, typer.Option(help="Store and read the first hop.")] = True,
    work: Annotated[Path, typer.Option(help="Folder of the stores.")] = Path("runs/scale"),
) -> None:
    """Build every size, train on it, and print three tables."""
    work.mkdir(parents=True, exist_ok=True)
    print(
        f"{os.cpu_count()} cores, limit {memory_gb:g} GiB, "
        f"plain writing {write_rate(work) / 1e9:.2f} GB/s\n"
    )
    trained, stepped = [], []
    print_row(BUILT.split(), heading=True)
    for wanted in edges:
        store = work / "graph.zarr"
        hop = "first-hop" if first_hop else "no-first-hop"
        print_row(build(store, int(wanted), memory_gb, work / "build.log", f"--{hop}"))
        if seconds:
            values = {"memory_gb": trainer_gb, "time_limit_s": seconds, "first_hop": first_hop}
            trained.append(train(store, work / "run", int(wanted), values))
            print(f"trained on it: {' | '.join(trained[-1])}", file=sys.stderr)
        if steps:
            stepped.append(in_own_process(store, int(wanted), trainer_gb, first_hop, steps))
            print(f"one trainer: {' | '.join(stepped[-1])}", file=sys.stderr)
        shutil.rmtree(store)
    if trained:
        print(f"\nTwo trainers, {seconds:g} s, one round every {seconds / 6:g} s:\n")
        print_row(TRAINED.split(), heading=True)
        for row in trained:
            print_row(row)
    if stepped:
        print("\nSampling, and one trainer:\n")
        print_row(STEPS.split(), heading=True)
        for row in stepped:
            print_row(row)
    shutil.rmtree(work)


def build(store: Path, num_edges: int, memory_gb: float, log: Path, hop: str) -> list[str]:
    """Build a graph; return a row of the first table."""
    num_nodes = int(num_edges / EDGES_PER_NODE)
    source = f"synthetic:nodes={num_nodes},edges={num_edges},{SHAPE}"
    options = ["--valid", 10_000, "--test", 10_000, "--negatives", 100, "--memory-gb", memory_gb]
    command = [sys.executable, "-m", "hvdtma", "build", store, source, *options]
    seconds, peak = measured(*command, hop, "--feature-dtype", "float16", "--overwrite", log=log)
    found = re.search(r"first hop: ([\d.]+) s", log.read_text())
    hop_s = float(found.group(1)) if found else 0.0
    disk = disk_bytes(store)
    return [
        f"{num_edges:,}",
        f"{num_nodes:,}",
        f"{seconds:.1f}",
        f"{num_edges / seconds:,.0f}",
        f"{hop_s:.1f}",
        f"{num_edges / (seconds - hop_s):,.0f}",
        f"{peak / 2**30:.2f}",
        f"{disk / 1e9:.2f}",
        f"{disk / num_edges:.1f}",
    ]


def train(store: Path, run: Path, num_edges: int, chosen: dict) -> list[str]:
    """Train for a while with two trainers; return a row of the second table."""
    values = chosen | {
        "store": str(store),
        "run": str(run),
        "interval_s": chosen["time_limit_s"] / 6,
        "model": {"hidden": 64},
        "optimizer": {"lr": 0.003},
        "evaluate": {"mode": "final", "sample": 1000},
    }
    config = run.with_suffix(".yaml")
    config.write_text(json.dumps(values))
    command = [sys.executable, "-m", "hvdtma", "train", config, "--overwrite"]
    launcher = [Path(sys.executable).parent / "horovodrun", "-np", 2]
    wall_s, _ = measured(*launcher, *command, log=run.with_suffix(".log"))
    summary = json.loads((run / "summary.json").read_text())
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assigned = next(event for event in events if event["kind"] == "assignment")
    rows = summary["per_trainer"]
    read = sum(row["bytes_read"] for row in rows)
    read_s = max(max(row["read_s"] for row in rows), 1e-9)
    return [
        f"{num_edges:,}",
        f"{chosen['memory_gb']:g}",
        str(assigned["trainers"][0]["sets"]),
        str(summary["rounds"]),
        f"{sum(row['positives_per_s'] for row in rows):,.0f}",
        f"{read / 1e9:.2f}",
        f"{read / read_s / 1e9:.2f}",
        f"{max(row['wait_for_data_s'] for row in rows):.1f}",
        f"{max(row['peak_rss_bytes'] for row in rows) / 2**30:.2f}",
        f"{summary['test']['mrr']:.4f}",
        f"{wall_s - summary['time_s']:.0f}",
    ]


def in_own_process(
    store: Path, num_edges: int, memory_gb: float, first_hop: bool, steps: int
) -> list[str]:
    """A row of the third table, by a process whose memory is free again afterwards."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(step_on, store, num_edges, memory_gb, first_hop, steps).result()


def step_on(
    store: Path, num_edges: int, memory_gb: float, first_hop: bool, steps: int
) -> list[str]:
    """Sample, and take steps of one trainer; return a row of the third table."""
    settings = [f"memory_gb={memory_gb}", f"first_hop={str(first_hop).lower()}", "model.hidden=64"]
    settings.append("evaluate.mode=final")
    opened, links = open_store(store), []
    for sampler in ("cluster", "neighbour"):
        trainer = trainer_on(opened, [*settings, f"sampler.name={sampler}"])
        links.append(f"{step_rate(trainer, steps):,.0f}")
        if sampler == "cluster":
            shard = trainer.shard
            chosen = np.random.default_rng(0).permutation(shard.num_nodes)[:SEEDS]
            rates = sampling_rates(shard, np.sort(chosen), steps)
            in_memory = shard.num_edges
        trainer.release_shard()
    cells = []
    for name in ("neighbour", "labor"):
        *one, several = [rate for rate in rates if rate.sampler == name]
        single = one[0] if one else several
        cells.append(f"{several.edge_ns:.1f} ({single.edge_ns:.1f})")
        cells.append(f"{several.renumbered_edge_ns:.1f} ({single.renumbered_edge_ns:.1f})")
    return [f"{num_edges:,}", f"{in_memory:,}", *cells, *links]


if __name__ == "__main__":
    typer.run(main)
