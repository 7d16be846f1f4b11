"""Runs without training: the parameters of their best round are random, which costs no time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import hvdtma
from hvdtma.core.train_config import parse_config
from hvdtma.graph.store import GraphStore
from hvdtma.runs.run_folder import RunFolder, write_model
from hvdtma.tasks import make_model, make_task

DECODERS = ("cosine", "dot", "mlp", "distmult", "concat", "bilinear")


def untrained_run(folder: Path, store: GraphStore, **changes) -> hvdtma.Run:
    """A run of one round. `changes` are keys of the config."""
    values = {
        "store": str(store.path),
        "run": str(folder),
        "rounds": 1,
        "model": {"hidden": 8},
        "seed": 3,
    }
    config = parse_config(values | changes)
    run = RunFolder.create(config, store)
    model = make_model(config, store, make_task(config, store))
    write_model(run.best, model, round=1, time_s=0.0)
    scores = {"mrr": 0.5}
    run.summary.write_text(json.dumps({"best_round": 1, "valid": scores, "test": scores}))
    return hvdtma.Run(config.run)


def brute_force(run: hvdtma.Run, node: int, type_number: int | None = None) -> np.ndarray:
    """The scores float32 [N] of links from a node to each node, one by one in double precision."""
    head = run.model.head.double()
    h = torch.from_numpy(hvdtma.embed(run).vectors).double()
    types = None if type_number is None else torch.tensor([type_number])
    with torch.no_grad():
        scores = [head(h[node : node + 1], row[None], types) for row in h]
    head.float()
    return torch.cat(scores).float().numpy()
