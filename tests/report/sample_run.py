"""Folders of plausible runs: the numbers are made up, their shape is what a run writes."""

import json
from pathlib import Path

import numpy as np

from hvdtma.partitioning.statistics import AssignmentStatistics, TrainerStatistics

CONFIG = """\
store: {store}
seed: 0
model:
  encoder: graphsage
  layers: 2
  hidden: 128
  fanouts: [10, 5]
  first_hop: true
train:
  interval_s: {interval_s}
  time_limit_s: 120.0
  batch: 1024
"""


def events(
    trainers=3, rounds=14, interval_s=10.0, *, assignments=1, store="data/facebook.zarr", seed=0
):
    """The events of metrics.jsonl, up to the last round."""
    rng = np.random.default_rng(seed)
    yield {
        "kind": "start", "time_s": 0.0, "trainers": trainers, "method": "super", "store": store,
        "num_nodes": 22470, "num_edges": 324910, "parameters": 68352,
        "interval_s": interval_s, "interval_steps": None,
    }  # fmt: skip
    speeds_M = 12 + rng.normal(0, 0.6, trainers)
    for number in range(1, rounds + 1):
        if (number - 1) % max(rounds // assignments, 1) == 0:
            yield _assignment(
                (number - 1) // max(rounds // assignments, 1), number, interval_s, trainers, rng
            )
        yield _round(number, interval_s, speeds_M, rng)
        yield _score("valid", number, interval_s, 0.42 - 0.3 * np.exp(-number / 4), rng)


def _assignment(assignment, number, interval_s, trainers, rng):
    nodes_M = rng.multinomial(22470, np.full(trainers, 1 / trainers))
    edges_M = (nodes_M * rng.normal(11, 0.4, trainers)).astype(int)
    shares = [
        {"blocks": 86, "nodes": int(n), "edges": int(e), "positives": int(e) // 2}
        for n, e in zip(nodes_M, edges_M, strict=True)
    ]
    return {
        "kind": "assignment", "assignment": assignment, "round": number,
        "time_s": (number - 1) * interval_s + 0.1,
        "edges_kept": float(edges_M.sum() / 324910), "trainers": shares,
    }  # fmt: skip


def _round(number, interval_s, speeds_M, rng):
    steps_M = rng.poisson(speeds_M * interval_s)
    loss_M = 0.28 + 0.4 * np.exp(-number / 3) + rng.normal(0, 0.008, len(speeds_M))
    wait_M = rng.gamma(2, 0.02, len(speeds_M))
    return {
        "kind": "round", "round": number, "time_s": number * interval_s + rng.uniform(0, 0.05),
        "aggregate_s": float(rng.uniform(0.008, 0.014)),
        "trainers": [
            {
                "steps": int(steps), "positives": int(steps) * 1024, "loss": float(loss),
                "train_s": float(interval_s - wait), "wait_s": float(wait),
                "weight": 1 / len(speeds_M),
            }
            for steps, loss, wait in zip(steps_M, loss_M, wait_M, strict=True)
        ],
    }  # fmt: skip


def _score(part, number, interval_s, mrr, rng):
    mrr = float(mrr + rng.normal(0, 0.004))
    metrics = {"mrr": mrr, "hits@1": 0.66 * mrr, "hits@10": 1.7 * mrr, "auc": 0.7 + 0.6 * mrr}
    return {
        "kind": "score", "part": part, "round": number, "time_s": number * interval_s,
        "metrics": metrics, "score_s": 3.1,
    }  # fmt: skip


def summary_of(written):
    """The summary that belongs to a list of events."""
    start = written[0]
    rounds = [event for event in written if event["kind"] == "round"]
    scores = [event for event in written if event["kind"] == "score"]
    best = max(scores, key=lambda event: event["metrics"]["mrr"])
    return {
        "method": start["method"], "trainers": start["trainers"],
        "interval_s": start["interval_s"], "interval_steps": None, "rounds": len(rounds),
        "time_s": rounds[-1]["time_s"], "best_round": best["round"], "metric": "mrr",
        "valid": best["metrics"],
        "test": {metric: 0.985 * value for metric, value in best["metrics"].items()},
        "wall_s": rounds[-1]["time_s"] + 21.4, "share_not_training": 0.0061,
        "stopped": "time limit", "skipped_rounds": [],
        "per_trainer": [_trainer(k, rounds) for k in range(start["trainers"])],
    }  # fmt: skip


def _trainer(trainer, rounds):
    mine = [event["trainers"][trainer] for event in rounds]
    summed = ("train_s", "wait_s", "steps", "positives")
    total = {key: sum(entry[key] for entry in mine) for key in summed}
    return total | {
        "trainer": trainer, "aggregate_s": sum(event["aggregate_s"] for event in rounds),
        "positives_per_s": total["positives"] / total["train_s"],
        "wait_for_data_s": 0.25 * trainer, "bytes_read": 1_450_000_000 + trainer,
        "peak_rss_bytes": 812_000_000 + 3_100_000 * trainer, "nodes": 7490, "edges": 82390,
    }  # fmt: skip


def write_run(folder: Path, written, summary=None, *, tail=""):
    """Write a run folder; without a summary it is unfinished."""
    folder.mkdir(parents=True)
    start = written[0] if written else {}
    config = CONFIG.format(store=start.get("store"), interval_s=start.get("interval_s"))
    (folder / "config.yaml").write_text(config)
    versions = {"hvdtma": "0.1.0", "torch": "2.13.0", "git": {"commit": "0f3c9ab", "dirty": False}}
    (folder / "versions.json").write_text(json.dumps(versions))
    lines = "".join(json.dumps(event) + "\n" for event in written)
    (folder / "metrics.jsonl").write_text(lines + tail)
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def finished_run(folder: Path, **options):
    written = list(events(**options))
    return write_run(folder, written, summary_of(written))


def sample_assignment(trainers=4):
    """Statistics of an assignment."""
    rng = np.random.default_rng(0)
    shares = [
        TrainerStatistics(
            trainer=trainer,
            nodes=5000 + int(rng.integers(200)),
            edges=20_000 + int(rng.integers(2000)),
            edges_kept=float(rng.uniform(0.6, 0.7)),
            imbalance=float(rng.uniform(0.05, 0.1)),
            feature_discrepancy=float(rng.uniform(0.02, 0.06)),
        )
        for trainer in range(trainers)
    ]
    return AssignmentStatistics(shares, 0.66, "communities")
