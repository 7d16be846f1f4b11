"""HyperLearn beside what knows less, after equal time, on held-out hyperedges.

    python benchmarks/hyperlearn.py tate --artworks artworks.csv.gz
    python benchmarks/hyperlearn.py tate --artworks artworks.csv.gz --subjects subjects.csv.gz
    python benchmarks/hyperlearn.py debian

For each seed (of the split, the initial values and the batches) HyperLearn, plain CP and a graph
convolution network on the joined graph are trained in one process on one core, for the same CPU
seconds, at the same width, loss and batches. Each is scored on the same validation hyperedges now
and then, which does not count as training, and on all test hyperedges with the best of its states.
Popularity needs no training. Prints a Markdown table: means over seeds and their spread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from hypergraph import (
    HyperLearn,
    MultimodalHypergraph,
    TrainConfig,
    from_debian,
    from_tate,
    split_relation,
)
from hypergraph.baselines import JointGCN, cp_config, popularity, without_context
from hypergraph.train.fit import HeldOut, held_out, score
from hypergraph.train.learner import Factors, Learner

LOOKS = 20  # at validation hyperedges, closer together at the start

app = typer.Typer(add_completion=False)
Metrics = dict[str, float]
Trained = Learner | JointGCN


class Source(StrEnum):
    """What is learned from."""

    tate = "tate"
    debian = "debian"


@app.command()
def main(
    source: Annotated[Source, typer.Argument()],
    artworks: Annotated[Path | None, typer.Option(help="Tate's table.")] = None,
    subjects: Annotated[Path | None, typer.Option(help="A fifth modality, if given.")] = None,
    seeds: Annotated[int, typer.Option()] = 5,
    seconds: Annotated[float, typer.Option(help="Of training, each; CPU time.")] = 80,
    dim: Annotated[int, typer.Option(help="Width of the factors.")] = 32,
    negatives: Annotated[int, typer.Option(help="Corrupted items.")] = 16,
) -> None:
    """Train three ways for each seed, print the table."""
    torch.set_num_threads(1)
    graph, relation = load(source, artworks, subjects)
    typer.echo(f"{graph}\n")
    found: dict[str, list[Metrics]] = {}
    for seed in range(seeds):
        config = TrainConfig.model_validate(
            {
                "seed": seed,
                "model": {"dim": dim},
                "loss": {"negatives": negatives},
                "evaluate": {"max_hyperedges": 1000},
            }
        )
        split = split_relation(graph, relation, seed=seed)
        train = split.train.relation(relation)
        valid = held_out(split.valid, train, split.test)
        valid = valid.sample(config.evaluate.max_hyperedges, config.seed)
        test = held_out(split.test, train, split.valid)
        for method, make in METHODS.items():
            best, note = trained(make(split.train, config), valid, seconds)
            report(found, seed, method, score(best, test), note)
        report(found, seed, "popularity", score(popularity(split.train, relation), test))
    names = graph.relation(relation).modalities
    columns = ["mrr", "hits@1", "hits@10", "average_precision", *(f"mrr/{n}" for n in names)]
    typer.echo(table(found, columns))


def load(
    source: Source, artworks: Path | None, subjects: Path | None
) -> tuple[MultimodalHypergraph, str]:
    """The hypergraph, and the relation of which hyperedges are held out."""
    if source is Source.debian:
        return from_debian(), "maintained"
    if artworks is None:
        raise typer.BadParameter("tate needs --artworks")
    return from_tate(artworks, subjects), "artwork"


def plain_cp(data: MultimodalHypergraph, config: TrainConfig) -> Learner:
    """HyperLearn without graphs, features and diffusion."""
    return HyperLearn(without_context(data), cp_config(config)).learner


METHODS: dict[str, Callable[[MultimodalHypergraph, TrainConfig], Trained]] = {
    "HyperLearn": lambda data, config: HyperLearn(data, config).learner,
    "GCN on the joined graph": JointGCN,
    "plain CP": plain_cp,
}


def trained(method: Trained, valid: HeldOut, seconds: float) -> tuple[Factors, str]:
    """The best factors on validation of so many CPU seconds, and how they came about."""
    used = 0.0
    iterations = looks = 0
    best, best_s, kept = -1.0, 0.0, method.factors()
    while used < seconds:
        start = time.process_time()
        method.iterate()
        used += time.process_time() - start
        iterations += 1
        if used >= seconds * (looks / LOOKS) ** 2:
            looks += 1
            factors = method.factors()
            now = score(factors, valid)["mrr"]
            if now > best:
                best, best_s, kept = now, used, factors
    return kept, f"best at {best_s:.0f} of {used:.0f} s, {iterations} iterations"


def report(
    found: dict[str, list[Metrics]], seed: int, method: str, metrics: Metrics, note: str = ""
) -> None:
    """Keep what was found, and say it at once."""
    found.setdefault(method, []).append(metrics)
    typer.echo(f"seed {seed}, {method}: mrr {metrics['mrr']:.4f} {note}", err=True)


def table(found: dict[str, list[Metrics]], columns: list[str]) -> str:
    """Markdown: mean and standard deviation over seeds."""
    lines = ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for method, every in found.items():
        cells = []
        for name in columns:
            values = np.array([metrics[name] for metrics in every])
            spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.4f}{spread}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    app()
