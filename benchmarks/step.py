"""The parts of a training step, the cost of negatives, and the rate of sampling, on a store.

    python benchmarks/step.py STORE [--set key=value ...]

Prints three tables. The first has the median milliseconds of each part of a step of one trainer
(batches are made when they are needed). The second has the milliseconds of a step with other
negatives, losses and decoders, each in turn: batches of 1,024 links unless `--set task.batch_size`
says otherwise. The third has the sampled edges per second of the compiled samplers, for the seeds
of such a step without its targets, with one and with all threads. All are medians over `--steps`;
512 negatives of each link's own need several GiB, and take a tenth of the steps.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from one_trainer import WARM_UP, milliseconds_in_turn, next_step, trainer_on
from sampling import FANOUT, sampling_rates

from hvdtma.graph.store import GraphStore, open_store
from hvdtma.sampling.shard import Shard
from hvdtma.tasks import Batch, Model
from hvdtma.training.trainer import Trainer

MLP_BCE = ["task.decoder=mlp", "task.loss=bce"]
COSINE_SOFTMAX = ["task.decoder=cosine", "task.loss=softmax"]
OWN, SHARED = "task.share_negatives=false", "task.share_negatives=true"
ONE_OWN, MANY_OWN = "1 own, mlp, bce", "512 own, cosine, softmax"
NEGATIVES = {
    ONE_OWN: [OWN, "task.num_negatives=1", *MLP_BCE],
    "1 shared, mlp, bce": [SHARED, "task.num_negatives=1", *MLP_BCE],
    "512 shared, cosine, softmax": [SHARED, "task.num_negatives=512", *COSINE_SOFTMAX],
    MANY_OWN: [OWN, "task.num_negatives=512", *COSINE_SOFTMAX],
}


def main(
    store: Path,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the config")] = None,
    steps: Annotated[int, typer.Option()] = 30,
) -> None:
    """Print the tables."""
    opened, settings = open_store(store), ["sampler.workers=0", *(set_ or [])]
    trainer = trainer_on(opened, settings)
    seeds = print_parts(trainer, steps)
    if trainer.config.task.name == "links":
        print_negatives(opened, settings, steps)
    print_sampling(trainer.shard, seeds, steps)


class PartTimes:
    """The milliseconds of the parts of a trainer's own steps, by hooks on its pieces."""

    def __init__(self, trainer: Trainer):
        self.trainer, self.loss = trainer, trainer.task.loss
        self.parts: dict[str, list[float]] = defaultdict(list)
        self.last = 0.0
        self.batch: Any = None
        trainer.task.loss = self._loss  # type: ignore[method-assign]
        encoder, optimizer = trainer.model.encoder, trainer.optimizer
        encoder.register_forward_pre_hook(lambda *_: self._ended("make the batch"))
        encoder.register_forward_hook(lambda *_: self._ended("encoder"))
        optimizer.register_step_pre_hook(lambda *_: self._ended("backward, clipping"))
        optimizer.register_step_post_hook(lambda *_: self._ended("optimizer"))

    def take_step(self) -> int:
        """Take a step of the trainer."""
        self.last = time.perf_counter()
        return next_step(self.trainer)

    def _loss(self, model: Model, batch: Batch) -> torch.Tensor:
        self.batch = batch
        loss = self.loss(model, batch)
        self._ended("scores and loss")
        return loss

    def _ended(self, part: str) -> None:
        if self.trainer.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.parts[part].append(1e3 * (now - self.last))
        self.last = now


def print_parts(trainer: Trainer, steps: int) -> np.ndarray:
    """Print the parts of a step; returns the seeds of the last one."""
    times = PartTimes(trainer)
    for _ in range(WARM_UP + steps):
        links = times.take_step()
    median = {part: statistics.median(each[WARM_UP:]) for part, each in times.parts.items()}
    total = sum(median.values())
    hood = times.batch.neighbourhood
    num_seeds = hood.blocks[-1].num_dst if hood.blocks else len(hood.x)
    print(f"\n{links:,} links, {num_seeds:,} seeds, {len(hood.x):,} input nodes\n")
    print("| part of a step | ms | share |\n|---|---|---|")
    for name, value in median.items():
        print(f"| {name} | {value:.1f} | {value / total:.0%} |")
    print(f"| all: {1e3 * links / total:,.0f} links/s | {total:.1f} | |")
    return hood.nodes[:num_seeds].numpy()


def print_negatives(store: GraphStore, settings: list[str], steps: int) -> None:
    """Print the milliseconds of a step with other negatives, and ratios to one of its own."""
    shared = ["task.batch_size=1024", "task.negatives=local", *settings]
    takers = {}
    for name, recipe in NEGATIVES.items():
        takers[name] = partial(next_step, trainer_on(store, [*shared, *recipe]))
    few = {name: take for name, take in takers.items() if name != MANY_OWN}
    print("\n| negatives of a link | ms per step | ratio |\n|---|---|---|")
    for name, value in (ms := milliseconds_in_turn(few, steps)).items():
        print(f"| {name} | {value:.1f} | {value / ms[ONE_OWN]:.2f} |", flush=True)
    both = {name: takers[name] for name in (ONE_OWN, MANY_OWN)}
    ms = milliseconds_in_turn(both, max(steps // 10, 1))
    print(f"| {MANY_OWN} | {ms[MANY_OWN]:.1f} | {ms[MANY_OWN] / ms[ONE_OWN]:.2f} |")


def print_sampling(shard: Shard, seeds: np.ndarray, steps: int) -> None:
    """Print the edges per second of each sampler."""
    print(f"\n{len(seeds):,} seeds, fanout {FANOUT}\n")
    print("| sampler | threads | million edges/s | with renumbering | distinct nodes |")
    print("|---|---|---|---|---|")
    for rate in sampling_rates(shard, seeds, steps):
        rates = f"{1e3 / rate.edge_ns:.1f} | {1e3 / rate.renumbered_edge_ns:.1f}"
        print(f"| {rate.sampler} | {rate.threads} | {rates} | {rate.distinct:,} |")


if __name__ == "__main__":
    typer.run(main)
