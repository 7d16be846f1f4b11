"""The parts of a training step, and the rate of sampling, on a store.

    python benchmarks/step.py STORE [--set key=value ...]

Prints the median milliseconds of each part of a step of one trainer (batches are made when they are
needed), and the sampled edges per second of the compiled samplers, for the seeds of such a step
without its targets: medians over `--steps`, with one and with all threads.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from hvdtma.comm import SingleProcess
from hvdtma.core.threads import num_workers
from hvdtma.core.train_config import load_train_config
from hvdtma.graph.csc import CSC
from hvdtma.graph.store import open_store
from hvdtma.sampling.draws import SampledEdges, layer_key, renumber, sample_edges
from hvdtma.sampling.shard import Shard
from hvdtma.tasks.link_batch import score_batch
from hvdtma.tasks.link_losses import LOSSES
from hvdtma.training.set_up import make_trainer, set_up_device
from hvdtma.training.trainer import Trainer

WARM_UP = 5


def main(
    store: Path,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the config")] = None,
    steps: Annotated[int, typer.Option()] = 30,
) -> None:
    """Print both tables."""
    given = [f"store={store}", "run=unused", "rounds=1", "sampler.workers=0", *(set_ or [])]
    config = load_train_config(None, given)
    comm = SingleProcess()
    trainer = make_trainer(config, open_store(store), comm, set_up_device(config, comm))
    seeds = print_parts(trainer, steps)
    print_sampling(trainer.shard, seeds, steps)


def print_parts(trainer: Trainer, steps: int) -> np.ndarray:
    """Print the parts of a step; returns the seeds of the last one."""
    parts: dict[str, list[float]] = defaultdict(list)
    nodes = links = 0
    for step in range(WARM_UP + steps):
        marks = [time.perf_counter()]
        batch = next(trainer.batches)
        marks.append(time.perf_counter())
        hood = batch.neighbourhood
        h_SH = trainer.model.encoder(hood.blocks, hood.x, hood.first_hop)
        marks.append(time.perf_counter())
        loss = LOSSES[trainer.config.task.loss](score_batch(trainer.model.head, h_SH, batch))
        marks.append(time.perf_counter())
        trainer.optimizer.zero_grad()
        loss.backward()
        marks.append(time.perf_counter())
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.optimizer.step()
        marks.append(time.perf_counter())
        nodes, links = len(hood.x), batch.size
        if step >= WARM_UP:
            names = ("make the batch", "encoder", "scores and loss", "backward", "optimizer")
            for name, began, ended in zip(names, marks[:-1], marks[1:], strict=True):
                parts[name].append(1e3 * (ended - began))
    median = {name: statistics.median(values) for name, values in parts.items()}
    total = sum(median.values())
    print(f"\n{links:,} links, {len(h_SH):,} seeds, {nodes:,} input nodes\n")
    print("| part of a step | ms | share |\n|---|---|---|")
    for name, value in median.items():
        print(f"| {name} | {value:.1f} | {value / total:.0%} |")
    print(f"| all: {1e3 * links / total:,.0f} links/s | {total:.1f} | |")
    return hood.nodes[: len(h_SH)].numpy()


def print_sampling(shard: Shard, seeds: np.ndarray, steps: int) -> None:
    """Print the edges per second of each sampler.

    In a graph without weights, sampling by weight gets random ones.
    """
    csc, kind = shard.csc, "the graph's"
    weight = csc.weight
    if weight is None:
        kind = "log-normal"
        weight = np.random.default_rng(0).lognormal(size=csc.num_edges).astype(np.float32)
    graphs = {
        "": CSC(csc.indptr, csc.indices),
        ", by weight": CSC(csc.indptr, csc.indices, weight=weight),
    }
    print(f"\n{len(seeds):,} seeds, fanout 25; weights: {kind}\n")
    print("| sampler | threads | million edges/s | with renumbering | distinct nodes |")
    print("|---|---|---|---|---|")
    for (suffix, graph), labor, threads in product(
        graphs.items(), (False, True), sorted({1, num_workers()})
    ):
        draw = partial(sample_edges, graph, seeds, 25, labor=labor, threads=threads)
        print_rate(("labor" if labor else "neighbour") + suffix, threads, draw, seeds, steps)


def print_rate(
    name: str, threads: int, draw: Callable[[int], SampledEdges], seeds: np.ndarray, steps: int
) -> None:
    """Print one row. `draw` samples with a key."""
    alone, both, edges, distinct = [], [], 0, 0
    for number in range(WARM_UP + steps):
        start = time.perf_counter()
        source = draw(layer_key(number, 0)).source
        sampled = time.perf_counter()
        nodes, _ = renumber(seeds, source)
        ended = time.perf_counter()
        edges, distinct = len(source), len(nodes)
        if number >= WARM_UP:
            alone.append(edges / (sampled - start))
            both.append(edges / (ended - start))
    rates = [f"{statistics.median(values) / 1e6:.1f}" for values in (alone, both)]
    print(f"| {name} | {threads} | {' | '.join(rates)} | {distinct:,} |")


if __name__ == "__main__":
    typer.run(main)
