"""Predictions of `hvdtma plan` against measurements of building, training and scoring.

    python benchmarks/plan.py --edges 1e6 --edges 1e7

Synthetic directed graphs of 10.7 edges per node in half precision, 32 features in the first graph,
64 in the others; 10,000 links are held out for each part. The plan is made before the store is
built. Every command runs in a process of its own, whose peak memory the kernel reports; that of
trainers is in summary.json. Two trainers train on each graph twice: on whole shards, and under a
limit that cuts shards into resident sets. Stores and runs are removed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

EDGES_PER_NODE = 10.7
HVDTMA = (sys.executable, "-m", "hvdtma")
NEGATIVES, HELD_OUT, CLASSES = 100, 10_000, 1000
TRAINERS = 2
STEPS = 20
GIB = 2**30


def main(
    edges: Annotated[list[float], typer.Option(help="Number of edges of a graph.")] = [1e6, 1e7],  # noqa: B006
    work: Annotated[Path, typer.Option(help="Folder of stores and runs.")] = Path("runs/plan"),
) -> None:
    """Plan, build and train at every size, and print the table."""
    work.mkdir(parents=True, exist_ok=True)
    print("| edges | figure | predicted | measured | ratio |\n|---|---|---|---|---|")
    for number, wanted in enumerate(edges):
        for figure, predicted, measured in compare(int(wanted), 64 if number else 32, work):
            ratio = predicted / measured
            print(
                f"| {wanted:,.0f} | {figure} | {predicted / GIB:.3f} GiB "
                f"| {measured / GIB:.3f} GiB | {ratio:.2f} |",
                flush=True,
            )


def compare(edges: int, features: int, work: Path) -> list[tuple[str, int, int]]:
    """Rows of (figure, predicted bytes, measured bytes) for one graph."""
    nodes = int(edges / EDGES_PER_NODE)
    store, run, config = work / "graph.zarr", work / "run", work / "config.yaml"
    shutil.rmtree(store, ignore_errors=True)
    config.write_text(
        f"store: {store}\nrun: {run}\nrounds: 1\ninterval_steps: {STEPS}\n"
        "evaluate: {mode: final, max_links: 1000}\n"
    )
    held = ["--valid", HELD_OUT, "--test", HELD_OUT, "--negatives", NEGATIVES]
    held += ["--feature-dtype", "float16"]
    sizes = ["--nodes", nodes, "--edges", edges, "--features", features, "--classes", CLASSES]
    whole = planned(config, *sizes, *held)
    limit_gb = cutting_limit_gb(whole)
    cut = planned(config, f"memory_gb={limit_gb}", *sizes, *held)
    source = f"synthetic:nodes={nodes},edges={edges},features={features}"
    source += f",communities={CLASSES},directed=true"
    built = peak(*HVDTMA, "build", store, source, *held)
    disk = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    rows = [
        ("build, memory", of(whole, "build"), built),
        ("store, disk", of(whole, "build", "disk_bytes"), disk),
        ("train, memory", of(whole, "train"), trained(config, run)),
        ("evaluate, memory", of(whole, "evaluate"), peak(*HVDTMA, "evaluate", run)),
        ("embed, memory", of(whole, "embed"), embedded(run)),
    ]
    sets = f"train, memory_gb={limit_gb} ({cut['assignment']['sets']} sets)"
    rows.append((sets, of(cut, "train"), trained(config, run, f"memory_gb={limit_gb}")))
    rows.append((f"evaluate, memory_gb={limit_gb}", of(cut, "evaluate"),
                 peak(*HVDTMA, "evaluate", run)))  # fmt: skip
    rows.append((f"embed, memory_gb={limit_gb}", of(cut, "embed"), embedded(run)))
    shutil.rmtree(store)
    shutil.rmtree(run)
    return rows


def planned(config: Path, *arguments: object) -> dict:
    """The plan, as JSON."""
    command = [*HVDTMA, "plan", config, "--trainers", TRAINERS, "--quick", "--json"]
    command += arguments
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def of(plan: dict, stage: str, what: str = "peak_bytes") -> int:
    """A figure of a stage of a plan."""
    return next(s[what] for s in plan["stages"] if s["name"] == stage)


def cutting_limit_gb(plan: dict) -> float:
    """A limit for which 0.7 of the shard fits besides the largest step."""
    from hvdtma.core.train_config import parse_config
    from hvdtma.graph.builder import BuildOptions
    from hvdtma.plan import PlannedGraph
    from hvdtma.training.budget import reserved_bytes, shard_footprint

    config = parse_config({"store": "none", "run": "none", "rounds": 1})
    assignment = plan["assignment"]
    graph = PlannedGraph(
        plan["num_nodes"],
        plan["num_edges"],
        plan["feature_dim"],
        classes=CLASSES,
        options=BuildOptions(feature_dtype=plan["feature_dtype"]),
    )
    sizes = graph.sizes(config)
    nodes, edges = assignment["shard_nodes"], assignment["shard_edges"]
    shard = shard_footprint(config, sizes).num_bytes(nodes, edges)
    return round((reserved_bytes(config, sizes, nodes) + 0.7 * shard) / GIB, 3)


def trained(config: Path, run: Path, *overrides: str) -> int:
    """The largest peak of a trainer, from the run's summary."""
    launch = [str(Path(sys.executable).with_name("horovodrun")), "-np", TRAINERS]
    peak(*launch, *HVDTMA, "train", config, "--overwrite", *overrides)
    summary = json.loads((run / "summary.json").read_text())
    return max(trainer["peak_rss_bytes"] for trainer in summary["per_trainer"])


def embedded(run: Path) -> int:
    """The peak of embedding all nodes."""
    return peak(*HVDTMA, "embed", run, "--out", run / "embedding.parquet", "--overwrite")


def peak(*command: object) -> int:
    """Peak resident bytes of a command that must succeed."""
    parts = [str(part) for part in command]
    process = subprocess.Popen(parts, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(parts)} failed")
    return usage.ru_maxrss * 1024


if __name__ == "__main__":
    typer.run(main)
