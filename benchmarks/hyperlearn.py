"""HyperLearn beside what knows less, after equal time, on held-out hyperedges.

    python benchmarks/hyperlearn.py tate --artworks artworks.csv.gz
    python benchmarks/hyperlearn.py tate --artworks artworks.csv.gz --subjects subjects.csv.gz
    python benchmarks/hyperlearn.py debian

For each seed (of the split, the initial values and the batches) HyperLearn, plain CP and a graph
convolution network on the joined graph are trained in one process for `--seconds`, at the same
width, loss and batches; scored on validation every few iterations, and on test with the best of
them. Popularity needs no training. Prints a Markdown table: means over seeds and their spread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from hypergraph import (
    HyperLearn,
    MultimodalHypergraph,
    Split,
    TrainConfig,
    from_debian,
    from_tate,
    split_relation,
)
from hypergraph.baselines import JointGCN, cp_config, popularity, without_context
from hypergraph.train.fit import HeldOut, held_out, score
from hypergraph.train.learner import Factors

app = typer.Typer(add_completion=False)
Metrics = dict[str, float]


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
    seconds: Annotated[float, typer.Option(help="Of training, each.")] = 60,
    dim: Annotated[int, typer.Option(help="Width of the factors.")] = 32,
    negatives: Annotated[int, typer.Option(help="Corrupted items.")] = 16,
) -> None:
    """Train four ways for each seed, print the table."""
    graph, relation = load(source, artworks, subjects)
    found: dict[str, list[Metrics]] = {}
    for seed in range(seeds):
        config = TrainConfig.model_validate(
            {
                "seed": seed,
                "iterations": None,
                "time_limit_s": seconds,
                "model": {"dim": dim},
                "loss": {"negatives": negatives},
                "evaluate": {"every": 5},
            }
        )
        split = split_relation(graph, relation, seed=seed)
        for method, train in METHODS.items():
            test = held_out(split.test, split.train.relation(relation), split.valid)
            start = time.monotonic()
            metrics = score(train(split, config), test)
            found.setdefault(method, []).append(metrics)
            typer.echo(
                f"seed {seed}, {method}: mrr {metrics['mrr']:.4f}, "
                f"{time.monotonic() - start:.0f} s",
                err=True,
            )
    names = graph.relation(relation).modalities
    typer.echo(table(found, ["mrr", "hits@10", "average_precision", *(f"mrr/{n}" for n in names)]))


def load(
    source: Source, artworks: Path | None, subjects: Path | None
) -> tuple[MultimodalHypergraph, str]:
    """The hypergraph, and the relation of which hyperedges are held out."""
    if source is Source.debian:
        return from_debian(), "maintained"
    if artworks is None:
        raise typer.BadParameter("tate needs --artworks")
    return from_tate(artworks, subjects), "artwork"


def hyperlearn(split: Split, config: TrainConfig) -> Factors:
    """The best factors on validation."""
    return HyperLearn(split, config).fit().learned


def plain_cp(split: Split, config: TrainConfig) -> Factors:
    """The same without graphs, features and diffusion."""
    bare = Split(without_context(split.train), split.relation, split.valid, split.test)
    return HyperLearn(bare, cp_config(config)).fit().learned


def joint_gcn(split: Split, config: TrainConfig) -> Factors:
    """The best embeddings on validation."""
    valid = valid_of(split, config)
    gcn, best, kept = JointGCN(split.train, config), -1.0, None
    start, done = time.monotonic(), 0
    while kept is None or time.monotonic() - start < (config.time_limit_s or 0):
        gcn.iterate()
        done += 1
        if done % config.evaluate.every == 0:
            factors = gcn.factors()
            now = score(factors, valid)["mrr"]
            if now > best:
                best, kept = now, factors
    return kept


def most_popular(split: Split, config: TrainConfig) -> Factors:
    """Counts."""
    return popularity(split.train, split.relation)


def valid_of(split: Split, config: TrainConfig) -> HeldOut:
    """The sample of validation hyperedges that HyperLearn is scored on, too."""
    of = held_out(split.valid, split.train.relation(split.relation), split.valid, split.test)
    return of.sample(config.evaluate.max_hyperedges, config.seed)


METHODS: dict[str, Callable[[Split, TrainConfig], Factors]] = {
    "HyperLearn": hyperlearn,
    "GCN on the joined graph": joint_gcn,
    "plain CP": plain_cp,
    "popularity": most_popular,
}


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
