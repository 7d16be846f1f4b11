"""The same training with all, a half, a quarter and an eighth of the shard in memory.

    python benchmarks/out_of_core.py [--edges 1e7] [--seconds 120] [--trainers 1]

A synthetic graph is built; `memory_gb` is set so that it leaves room for that share of a trainer's
shard, or for scoring, if that takes more (the first column is the share that there is room for).
The store is dropped from the page cache every second, so that the disk is really read.
Positives/s and validation MRR after the same time, as ratios to all in memory.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from machine import disk_bytes, measured, never_cached

from hvdtma.core.train_config import parse_config
from hvdtma.evaluation.budget import scoring_requirement
from hvdtma.graph.store import GraphStore, open_store
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.sampling.budget import expected_edges
from hvdtma.training.budget import reserved_bytes, shard_footprint

EDGES_PER_NODE = 10.7  # as in the citation graph of 121 million papers
SHARES = (1.0, 0.5, 0.25, 0.125)


def main(
    edges: Annotated[float, typer.Option()] = 1e7,
    features: Annotated[int, typer.Option()] = 64,
    seconds: Annotated[float, typer.Option(help="Seconds of training, for each share.")] = 120,
    interval_s: Annotated[float, typer.Option()] = 10,
    trainers: Annotated[int, typer.Option()] = 1,
    work: Annotated[Path, typer.Option(help="Folder of the store and the runs.")] = Path(
        "runs/ooc"
    ),
) -> None:
    """Train with each share and print the table."""
    work.mkdir(parents=True, exist_ok=True)
    store = make_store(work / "graph.zarr", int(edges), features)
    print(
        f"{store.num_nodes:,} nodes, {store.num_edges:,} training edges, {features} features, "
        f"{disk_bytes(store.path) / 1e9:.2f} GB on disk; {trainers} trainer(s), {seconds:g} s\n"
    )
    names = ["in memory", "memory_gb", "sets", "positives/s", "ratio", "valid MRR", "ratio"]
    names += ["waited for data", "read GB", "GB/s", "peak GiB"]
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    reference: dict | None = None
    for share in SHARES:
        summary = train(store, work / f"run{share}", share, seconds, interval_s, trainers)
        reference = reference or summary
        print("| " + " | ".join(row(summary, reference)) + " |", flush=True)
    shutil.rmtree(work)


def make_store(path: Path, num_edges: int, features: int) -> GraphStore:
    """Build the store to train on."""
    nodes = int(num_edges / EDGES_PER_NODE)
    source = f"synthetic:nodes={nodes},edges={num_edges},features={features},communities=1000"
    options = ["--feature-dtype", "float16", "--valid", 10_000, "--test", 10_000]
    command = [sys.executable, "-m", "hvdtma", "build", path, source, *options]
    measured(*command, "--negatives", 200, "--overwrite", log=path.with_suffix(".log"))
    return open_store(path)


def train(
    store: GraphStore, run: Path, share: float, seconds: float, interval_s: float, trainers: int
) -> dict:
    """Train with memory for a share of the shard; return the summary, with limit and sets."""
    values = {
        "store": str(store.path),
        "run": str(run),
        "time_limit_s": seconds,
        "interval_s": interval_s,
        "model": {"hidden": 64},
        "optimizer": {"lr": 0.003},
        "evaluate": {"mode": "final"},
    }
    limit_gb, share = memory_gb(store, values, share, trainers)
    config = run.with_suffix(".yaml")
    config.write_text(json.dumps(values | {"memory_gb": limit_gb}))
    horovodrun = Path(sys.executable).parent / "horovodrun"
    launcher = [horovodrun, "-np", trainers] if trainers > 1 else []
    with never_cached(store.path):
        command = [sys.executable, "-m", "hvdtma", "train", config, "--overwrite"]
        measured(*launcher, *command, log=run.with_suffix(".log"))
    summary = json.loads((run / "summary.json").read_text())
    events = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assignment = next(event for event in events if event["kind"] == "assignment")
    sets = assignment["trainers"][0]["sets"]
    return summary | {"memory_gb": limit_gb, "share": share, "sets": sets}


def memory_gb(store: GraphStore, values: dict, share: float, trainers: int) -> tuple[float, float]:
    """The limit that leaves room for a share of the first trainer's shard, in GiB; that share.

    Both are larger where scoring takes more.
    """
    config = parse_config(values)
    blocks = assign_blocks(store, trainers, seed=config.seed, number=0)[0]
    nodes = int((store.block_offsets[blocks + 1] - store.block_offsets[blocks]).sum())
    whole = shard_footprint(config, store).num_bytes(nodes, expected_edges(store, nodes))
    reserved = reserved_bytes(config, store, nodes)
    limit = max(reserved + share * whole, scoring_requirement(config, store).total_bytes) * 1.001
    return limit / 2**30, min((limit - reserved) / whole, 1.0)


def row(summary: dict, reference: dict) -> list[str]:
    """One line of the table."""

    def rate(of: dict) -> float:
        return sum(trainer["positives"] for trainer in of["per_trainer"]) / of["time_s"]

    rows, mrr = summary["per_trainer"], summary["valid"]["mrr"]
    read = sum(trainer["bytes_read"] for trainer in rows)
    read_s = max(sum(trainer["read_s"] for trainer in rows), 1e-9)
    return [
        f"{summary['share']:.1%}",
        f"{summary['memory_gb']:.2f}",
        str(summary["sets"]),
        f"{rate(summary):,.0f}",
        f"{rate(summary) / rate(reference):.2f}",
        f"{mrr:.4f}",
        f"{mrr / reference['valid']['mrr']:.3f}",
        f"{sum(trainer['wait_for_data_s'] for trainer in rows):.1f} s",
        f"{read / 1e9:.2f}",
        f"{read / read_s / 1e9:.2f}",
        f"{max(trainer['peak_rss_bytes'] for trainer in rows) / 2**30:.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
