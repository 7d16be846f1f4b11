"""A modality that joins a trained model, beside learning all of them from the start.

    python benchmarks/hyperlearn_joining.py --artworks artworks.csv.gz --subjects subjects.csv.gz

Tate, twice: the medium joins artwork, artist and century (their relation becomes one of four, of
which hyperedges are held out), and the subject joins those four (with a relation of its own). For
each seed the model without the newcomer is trained for `--seconds` of CPU time, on graphs inside
modalities that are made without it too, then taken on with it; another one is trained with it from
the start. Prints a Markdown table: the best validation MRR from the start, after how many seconds
either had 99 % of it (the maximum itself, of a noisy curve that has flattened, may come at any
time), and what both scored on test. The joined one's times count from when the newcomer joined. Its
test score is not of equal compute: it has had `--seconds` twice, before and after, where the other
had them once. All are trained with one learning rate, `--lr`.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from hyperlearn import looks

from hypergraph import HyperLearn, MultimodalHypergraph, Relation, TrainConfig, from_tate
from hypergraph.config import OptimizerConfig
from hypergraph.data.split import split_relation
from hypergraph.scoring import HeldOut, held_out, score
from hypergraph.train.learner import Factors

RELATION = "artwork"
NEARLY = 0.99  # of the best
Curve = list[tuple[float, float]]


def main(
    artworks: Annotated[Path, typer.Option(help="Tate's table.")],
    subjects: Annotated[Path, typer.Option()],
    seeds: Annotated[int, typer.Option()] = 3,
    seconds: Annotated[float, typer.Option(help="Of training, each; CPU time.")] = 60,
    lr: Annotated[float, typer.Option(help="Learning rate of all.")] = OptimizerConfig().lr,
) -> None:
    """Train both ways for each seed, print the table."""
    torch.set_num_threads(1)
    print("| joins | seed | best MRR from the start | had 99 % after, s | joined, s after joining "
          f"| share | test MRR from the start, {seconds:g} s "
          f"| joined, {seconds:g} s before and {seconds:g} s after |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for newcomer, graph in (
        ("medium", from_tate(artworks)),
        ("subject", from_tate(artworks, subjects)),
    ):
        shares = [one(graph, newcomer, seed, seconds, lr) for seed in range(seeds)]
        print(f"| {newcomer}, median | | | | | {median(shares):.2f} | | |", flush=True)


def one(graph: MultimodalHypergraph, newcomer: str, seed: int, seconds: float, lr: float) -> float:
    """Of one seed: the joined one's time as a share of the other's; infinite if it never came."""
    config = TrainConfig.model_validate(
        {
            "seed": seed,
            "model": {"dim": 32},
            "loss": {"negatives": 16},
            "optimizer": {"lr": lr},
        }
    )
    split = split_relation(graph, RELATION, seed=seed)
    train = split.train.relation(RELATION)
    valid = held_out(split.valid, train, split.test).sample(1000, seed)
    test = held_out(split.test, train, split.valid)
    before = HyperLearn(without(split.train, newcomer), config)
    for _ in looks(before.learner, seconds):
        pass
    scratch, from_start = curve(HyperLearn(split, config), valid, seconds)
    joined, after = curve(HyperLearn(split, config).begin_with(before), valid, seconds)
    best = max(value for _, value in scratch)
    had, joined_had = (reached(found, NEARLY * best) for found in (scratch, joined))
    tested = [score(factors, test)["mrr"] for factors in (from_start, after)]
    print(
        f"| {newcomer} | {seed} | {best:.4f} | {had:.0f} | {joined_had:.0f} "
        f"| {joined_had / had:.2f} | {tested[0]:.4f} | {tested[1]:.4f} |",
        flush=True,
    )
    return joined_had / had


def without(graph: MultimodalHypergraph, newcomer: str) -> MultimodalHypergraph:
    """The hypergraph before a modality came: of its relations what is left, if that joins two.

    Graphs that were made of hyperedges are made of these, so that nothing of it is in them.
    """
    relations = []
    for relation in graph.relations.values():
        kept = [k for k, name in enumerate(relation.modalities) if name != newcomer]
        if len(kept) > 1:
            names = tuple(relation.modalities[k] for k in kept)
            rows = np.unique(relation.indices[:, kept], axis=0)
            relations.append(Relation(relation.name, names, rows))
    modalities = [m for name, m in graph.modalities.items() if name != newcomer]
    before = MultimodalHypergraph.of(modalities, relations)
    for modality in modalities:
        recipe = None if modality.intra is None else modality.intra.recipe
        if recipe is not None and recipe.kind == "hyperedges":
            before = before.with_intra(modality.name, recipe)
    return before


def curve(model: HyperLearn, valid: HeldOut, seconds: float) -> tuple[Curve, Factors]:
    """(CPU seconds trained, validation MRR) now and then, and the best factors of them."""
    found: Curve = []
    kept = model.learner.factors()
    for done in looks(model.learner, seconds):
        factors = model.learner.factors()
        found.append((done.used_s, score(factors, valid)["mrr"]))
        if found[-1][1] == max(value for _, value in found):
            kept = factors
    return found, kept


def reached(found: Curve, value: float) -> float:
    """When a value was reached; infinite if it never was."""
    return next((at for at, now in found if now >= value), np.inf)


if __name__ == "__main__":
    typer.run(main)
