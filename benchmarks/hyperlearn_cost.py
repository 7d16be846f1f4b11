"""The cost of an iteration of HyperLearn: with more modalities, and against the dense objective.

    python benchmarks/hyperlearn_cost.py modalities
    python benchmarks/hyperlearn_cost.py dense

`modalities` trains K modalities of equal size on K processes under horovodrun. In the ring, each
modality is in a relation with the next one; otherwise all K are in a single relation. All relations
have the same number of hyperedges, and every modality has a graph. Compute is the CPU time of a
rank's training thread, which does not change when ranks share cores. It includes packing and
unpacking for other ranks, but neither calls to Horovod, nor its threads, nor waiting.

`dense` compares iterations on the same loss (forward, backward, a step of Adam; all hyperedges,
factors without graphs or features): through Gram matrices, and over the tensor of all N^K entries,
in turn. This tensor and the weights of its entries are made beforehand. Both commands print
Markdown tables of medians.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer

from hypergraph import HyperLearn, HyperLearnConfig, Intra, Modality, MultimodalHypergraph, Relation
from hypergraph.model.objective import gram_loss

DEGREE = 5  # of an item inside its modality
WARM_UP = 5

app = typer.Typer(add_completion=False)


class Shape(StrEnum):
    """The relations: a ring of pairs of modalities, or one relation of all modalities."""

    ring = "ring"
    one = "one"


@app.command()
def modalities(
    counts: Annotated[list[int], typer.Option("--count", help="Modalities.")] = [3, 4, 6, 8],  # noqa: B006
    items: Annotated[int, typer.Option(help="Items of each modality.")] = 5_000,
    hyperedges: Annotated[int, typer.Option(help="Hyperedges of each relation.")] = 50_000,
    iterations: Annotated[int, typer.Option()] = 40,
) -> None:
    """Measure compute, bytes and wall time of an iteration, with one process per modality."""
    print("| relations | K | compute of a rank, ms | ratio | sent by a rank, KiB | wall, ms |")
    print("|---|---|---|---|---|---|")
    for shape in Shape:
        first = 0.0
        for count in counts:
            ranks = under_horovod(shape, count, items, hyperedges, iterations)
            compute_s = median(rank["compute_s"] for rank in ranks)
            first = first or compute_s
            sent = median(rank["bytes_sent"] for rank in ranks)
            wall_s = median(rank["wall_s"] for rank in ranks)
            print(
                f"| {'ring of pairs' if shape is Shape.ring else 'one of all K'} | {count} "
                f"| {compute_s * 1e3:.1f} | {compute_s / first:.2f} | {sent / 1024:,.0f} "
                f"| {wall_s * 1e3:.0f} |",
                flush=True,
            )


def under_horovod(
    shape: Shape, count: int, items: int, hyperedges: int, iterations: int
) -> list[dict[str, float]]:
    """The results of `rank` on every rank."""
    with TemporaryDirectory() as folder:
        command = ["horovodrun", "-np", str(count), sys.executable, __file__, "rank", shape]
        command += [str(part) for part in (count, items, hyperedges, iterations, folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed\n{done.stdout[-1000:]}{done.stderr}")
        return [json.loads(path.read_text()) for path in sorted(Path(folder).iterdir())]


@app.command(hidden=True)
def rank(
    shape: Shape, count: int, items: int, hyperedges: int, iterations: int, folder: Path
) -> None:
    """Train one rank, started by `modalities`, and write medians over iterations."""
    from hvdtma.comm.groups import LaunchedGroup
    from hvdtma.comm.horovod import HorovodComm

    torch.set_num_threads(1)
    comm = HorovodComm(LaunchedGroup())
    config = HyperLearnConfig.model_validate({"model": {"dim": 32}, "loss": {"negatives": 16}})
    trainer = HyperLearn(random_graph(shape, count, items, hyperedges), config, comm=comm).trainer
    found: list[tuple[float, ...]] = []
    for _ in range(WARM_UP + iterations):
        before = time.monotonic(), trainer.compute_s, trainer.exchange.bytes_sent
        trainer.iterate()
        after = time.monotonic(), trainer.compute_s, trainer.exchange.bytes_sent
        found.append(tuple(b - a for a, b in zip(before, after, strict=True)))
    medians = [median(values) for values in zip(*found[WARM_UP:], strict=True)]
    facts = dict(zip(("wall_s", "compute_s", "bytes_sent"), medians, strict=True))
    (folder / f"{comm.rank}.json").write_text(json.dumps(facts))


def random_graph(shape: Shape, count: int, items: int, hyperedges: int) -> MultimodalHypergraph:
    """Modalities of equal size, in relations of equally many hyperedges."""
    random = np.random.default_rng(0)
    names = [f"m{k}" for k in range(count)]
    kinds = [
        Modality(n, items, intra=Intra.of(random.integers(0, items, (DEGREE * items // 2, 2))))
        for n in names
    ]
    joined = (
        [tuple(names)]
        if shape is Shape.one
        else [(name, names[(k + 1) % count]) for k, name in enumerate(names)]
    )
    relations = [
        Relation(f"r{number}", of, random.integers(0, items, (hyperedges, len(of))))
        for number, of in enumerate(joined)
    ]
    return MultimodalHypergraph.of(kinds, relations)


@app.command()
def dense(
    dim: Annotated[int, typer.Option()] = 32,
    hyperedges: Annotated[int, typer.Option()] = 20_000,
    repeats: Annotated[int, typer.Option()] = 10,
) -> None:
    """Time an iteration through Gram matrices, and one over all entries."""
    print("| K | items of each | entries | through Gram matrices, ms | dense, ms | ratio |")
    print("|---|---|---|---|---|---|")
    for arity, items in [(2, 2000), (2, 5000), (3, 100), (3, 200), (3, 400), (4, 40), (4, 80)]:
        generator = torch.Generator().manual_seed(0)
        at = torch.randint(items, (hyperedges, arity), generator=generator).unique(dim=0)
        factors = [torch.randn(items, dim, generator=generator) * 0.3 for _ in range(arity)]
        for factor in factors:
            factor.requires_grad_()
        weight = len(at) / items**arity
        tensor = torch.zeros((items,) * arity)
        tensor[tuple(at.T)] = 1
        weights = weight + (1 - weight) * tensor
        losses: list[Callable[[], torch.Tensor]] = [
            partial(gram_loss, at, factors, absent_weight=weight),
            partial(dense_loss, tensor, len(at), factors, weights),
        ]
        values = [loss().item() for loss in losses]
        if abs(values[0] - values[1]) > 1e-3 * values[1]:
            raise SystemExit(f"the two losses differ: {values}")
        seconds = seconds_of(losses, factors, repeats)
        print(
            f"| {arity} | {items:,} | {items**arity:,} | {seconds[0] * 1e3:.2f} "
            f"| {seconds[1] * 1e3:.1f} | {seconds[1] / seconds[0]:.0f} |",
            flush=True,
        )


def dense_loss(
    tensor: torch.Tensor, num_present: int, factors: list[torch.Tensor], weights: torch.Tensor
) -> torch.Tensor:
    """`gram_loss` entry by entry: the whole tensor of predictions is built.

    Args:
        weights: of every entry, of the tensor's shape.
    """
    first, *rest = factors
    for factor in rest[:-1]:
        first = (first[:, None] * factor[None]).flatten(0, 1)
    predicted = (first @ rest[-1].T).view(tensor.shape)
    return (weights * (tensor - predicted).square()).sum() / num_present


def seconds_of(
    losses: list[Callable[[], torch.Tensor]], factors: list[torch.Tensor], repeats: int
) -> list[float]:
    """The median seconds of an iteration with each loss: forward, backward, a step of Adam.

    The losses take turns, so that other load on the machine slows both.
    """
    optimizer = torch.optim.Adam(factors, lr=0.01)
    found: list[list[float]] = [[] for _ in losses]
    for number in range(repeats + 1):
        for loss, times in zip(losses, found, strict=True):
            start = time.monotonic()
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
            if number:  # the first one makes room
                times.append(time.monotonic() - start)
    return [median(times) for times in found]


if __name__ == "__main__":
    app()
