"""RandomTMA and SuperTMA compared with one trainer on the whole graph, after equal time.

    python benchmarks/methods.py facebook --edges E.csv.gz --features F.json.gz
    python benchmarks/methods.py debian:
    python benchmarks/methods.py graph.zarr

Builds the store, or takes one that is there, makes its super-node order, and trains under
horovodrun: one trainer, then `--trainers` on the random and on the super-node order, in each of the
`--settings`:

    recommended  the defaults, and a new assignment every `--reassign-s` seconds
    paper        the TMA paper's batches and loss, neighbours sampled inside the shard, one
                 assignment for the whole run
    one-assignment     the defaults, one assignment for the whole run

Further `--set key=value` go to every run. Prints a Markdown table with the ratio of each test MRR
to the one trainer's in the same setting, and the gain in the last third of the time (a run that
still gains has not converged).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from hvdtma.runs.folder import read_lines

SETTINGS = ["recommended", "paper", "one-assignment"]
PAPER = [
    "first_hop=false",
    "sampler.name=neighbour",
    "task.decoder=mlp",
    "task.loss=bce",
    "task.batch_size=1024",
    "optimizer.lr=0.001",
]
BIN = Path(sys.executable).parent


def main(
    source: Annotated[
        str, typer.Argument(help="A named source (debian:), a store, or any name with files.")
    ],
    edges: Annotated[Path | None, typer.Option()] = None,
    features: Annotated[Path | None, typer.Option()] = None,
    trainers: Annotated[int, typer.Option()] = 3,
    time_limit_s: Annotated[float, typer.Option(help="Training time of every run.")] = 240,
    interval_s: Annotated[float, typer.Option(help="Seconds between aggregations.")] = 1,
    reassign_s: Annotated[
        float, typer.Option(help="Seconds between assignments (recommended).")
    ] = 10,
    score_s: Annotated[float, typer.Option(help="Least seconds between validation scores.")] = 10,
    work: Annotated[Path, typer.Option(help="Folder of stores and runs.")] = Path("runs/methods"),
    config: Annotated[Path, typer.Option()] = Path("configs/facebook.yaml"),
    settings: Annotated[list[str], typer.Option()] = SETTINGS[:2],
    set_: Annotated[list[str], typer.Option("--set", help="key=value for every run.")] = [],  # noqa: B006
) -> None:
    """Build, partition, train six times and print the table."""
    name = Path(source.rstrip(":")).stem
    random, grouped = work / f"{name}.zarr", work / f"{name}-super.zarr"
    if Path(source).is_dir():
        random = Path(source)
    else:
        origin = [source] if source.endswith(":") else ["--edges", edges, "--undirected"]
        if features:
            origin += ["--features", features]
        call("hvdtma", "build", random, *origin, "--overwrite")
    method = ["--method", "super", "--trainers", trainers]
    call("hvdtma", "partition", random, grouped, *method, "--overwrite")
    cases = [
        ("one trainer", 1, random),
        ("RandomTMA", trainers, random),
        ("SuperTMA", trainers, grouped),
    ]
    rows = []
    shared = [
        f"interval_s={interval_s}",
        f"time_limit_s={time_limit_s}",
        f"evaluate.every={max(1, round(score_s / interval_s))}",
        *set_,
    ]
    rounds = max(1, round(reassign_s / interval_s))
    for setting in settings:
        of_setting = PAPER if setting == "paper" else []
        reassign = f"reassign_rounds={rounds if setting == 'recommended' else 0}"
        for title, size, store in cases:
            if setting == "one-assignment" and size == 1:
                continue  # there is nothing to assign: it is the recommended setting's
            run = work / f"{name}-{title.replace(' ', '-')}-{setting}"
            call(
                "horovodrun", "-np", size, BIN / "hvdtma", "train", config, "--overwrite",
                f"store={store}", f"run={run}", *of_setting, reassign, *shared,
            )  # fmt: skip
            rows.append((title, setting, run))
    print_table(name, rows, time_limit_s, interval_s)


def call(*command: object) -> None:
    """Run a command of this environment; raises if it fails."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([str(part) for part in command], check=True, env=os.environ | {"PATH": path})


def print_table(name: str, rows: list, time_limit_s: float, interval_s: float) -> None:
    """Print the table, with ratios to one trainer with the same first hop (stored or sampled)."""
    print(
        f"\n{name}: {time_limit_s:g} s of training each, aggregation every {interval_s:g} s, "
        f"{os.cpu_count()} cores, {platform.machine()}\n"
    )
    print(
        "| setting | method | test MRR | ratio | valid MRR | Hits@10 | best at | steps | "
        "gain in the last third | not training |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    reference = {}
    for title, setting, run in rows:
        summary = json.loads((run / "summary.json").read_text())
        mrr = summary["test"]["mrr"]
        reference.setdefault("paper" if setting == "paper" else "stored", mrr)
        ratio = mrr / reference["paper" if setting == "paper" else "stored"]
        steps = sum(row["steps"] for row in summary["per_trainer"])
        best_at = next(e["time_s"] for e in scores(run) if e["round"] == summary["best_round"])
        print(
            f"| {setting} | {title} | {mrr:.4f} | {ratio:.3f} | {summary['valid']['mrr']:.4f} "
            f"| {summary['test']['hits@10']:.4f} | {best_at:.0f} s | {steps:,} "
            f"| {late_gain(run):+.4f} | {summary['share_not_training']:.1%} |"
        )


def scores(run: Path) -> list[dict]:
    """Validation scores of a run."""
    events = read_lines(run / "metrics.jsonl")
    return [e for e in events if e["kind"] == "score" and e["part"] == "valid"]


def late_gain(run: Path) -> float:
    """Best validation MRR of the last third of the time minus the best before."""
    points = [(e["time_s"], e["metrics"]["mrr"]) for e in scores(run)]
    turn = points[-1][0] * 2 / 3
    before = [mrr for time_s, mrr in points if time_s <= turn]
    after = [mrr for time_s, mrr in points if time_s > turn]
    return max(after) - max(before)


if __name__ == "__main__":
    typer.run(main)
