"""The cost of lost trainers: none, one or two of four are killed in the middle of a run.

    python benchmarks/failures.py facebook.zarr

Every run trains for the same time by `hvdtma drive --local 4 --max-restarts 0`. After the share
`--lose-at` of this time, trainers are killed (SIGKILL) and not started again. `on_loss` says what
happens to their blocks: continue (without them, as in the paper's study of failures) or reassign.
Prints a Markdown table: test MRR of the best round and its ratio to the undisturbed run's, rounds
and steps taken, and the longest time from one aggregation to the next, `interval_s` included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import psutil
import typer

from hvdtma.runs.folder import read_lines

HVDTMA = (sys.executable, "-m", "hvdtma")


def main(
    store: Annotated[Path, typer.Argument(help="A store, from `hvdtma build`.")],
    trainers: Annotated[int, typer.Option()] = 4,
    time_limit_s: Annotated[float, typer.Option(help="Training time of every run.")] = 100,
    interval_s: Annotated[float, typer.Option(help="Seconds between aggregations.")] = 1,
    lose_at: Annotated[
        float, typer.Option(help="Share of the training time after which trainers are killed.")
    ] = 0.25,
    work: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/failures"),
    config: Annotated[Path, typer.Option()] = Path("configs/facebook.yaml"),
    set_: Annotated[list[str], typer.Option("--set", help="key=value for every run.")] = [],  # noqa: B006
) -> None:
    """Train five times and print the table."""
    print("| lost | on_loss | test MRR | ratio | rounds | steps | longest between aggregations |")
    print("|---|---|---|---|---|---|---|")
    reference = 0.0
    for lost, on_loss in [
        (0, "-"),
        *((n, way) for n in (1, 2) for way in ("continue", "reassign")),
    ]:
        run = work / f"{lost}-{on_loss.strip('-')}"
        options = [f"store={store}", f"run={run}", f"time_limit_s={time_limit_s}"]
        options += [f"interval_s={interval_s}", "elastic=true", "trainers=null", *set_]
        options += [f"on_loss={on_loss}"] if lost else []
        train(run, [str(config), *options], trainers, lost, lose_at * time_limit_s)
        summary = json.loads((run / "summary.json").read_text())
        score = summary["test"]["mrr"]
        reference = reference or score
        rounds = [event for event in read_lines(run / "metrics.jsonl") if event["kind"] == "round"]
        steps = sum(each["steps"] for event in rounds for each in event["trainers"])
        ends = [0.0, *(event["time_s"] for event in rounds)]
        longest = max(after - before for before, after in pairwise(ends))
        print(
            f"| {lost} of {trainers} | {on_loss} | {score:.4f} | {score / reference:.3f} "
            f"| {len(rounds)} | {steps:,} | {longest:.1f} s |",
            flush=True,
        )


def train(run: Path, arguments: list[str], trainers: int, lost: int, lose_at_s: float) -> None:
    """Train, and kill the last `lost` trainers after `lose_at_s` seconds of training."""
    subprocess.run(["rm", "-rf", run], check=True)
    drive = [*HVDTMA, "drive", *arguments, "--local", str(trainers), "--max-restarts", "0"]
    driver = subprocess.Popen(drive, stdout=sys.stderr)
    while driver.poll() is None and trained_s(run) < lose_at_s:
        time.sleep(0.1)
    for process in psutil.Process(driver.pid).children()[trainers - lost :]:
        process.kill()
    if driver.wait():
        raise SystemExit(f"{' '.join(drive)} ended with status {driver.returncode}")


def trained_s(run: Path) -> float:
    """Training time at the last aggregation."""
    rounds = [event for event in read_lines(run / "metrics.jsonl") if event["kind"] == "round"]
    return rounds[-1]["time_s"] if rounds else 0.0


if __name__ == "__main__":
    typer.run(main)
