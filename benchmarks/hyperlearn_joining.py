"""A modality that joins a trained model, compared with training all of them from the start.

    python benchmarks/hyperlearn_joining.py medium --artworks A.csv.gz
    python benchmarks/hyperlearn_joining.py subject --artworks A.csv.gz --subjects S.csv.gz
    python benchmarks/hyperlearn_joining.py subject --artworks A.csv.gz --subjects S.csv.gz \
        --relation subject

Data: the Tate collection. Either the medium joins artwork, artist and century (their relation
becomes one of four), or the subject joins all four (with a relation of its own). Hyperedges of the
relation of four, or of the subject's relation, are held out.

For each seed, a model without the new modality is trained for `--seconds` of CPU time. Graphs
inside modalities are then made without the new modality too. Three models with the new modality
follow: one is trained from the start; one starts from the trained model (`warm_start`: first the
new modality alone, then all); one does the same with the artworks' rows reset.

Prints a Markdown table: the best validation MRR of the model from the start; the seconds after
which each model had 99 % of it (the maximum of a noisy, flat curve may come at any time); the test
MRR of each model's best state by validation. Times of the joined models count from the moment of
joining; 0 is before any training with the new modality. Test scores are not of equal compute: the
joined models were trained for `--seconds` twice, before and after joining. All models have the
learning rate `--lr`.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from hyperlearn import looks

from hypergraph import HyperLearn, HyperLearnConfig, MultimodalHypergraph, Relation, from_tate
from hypergraph.config import FactorOptimizerConfig
from hypergraph.data.split import split_relation
from hypergraph.factors import Factors
from hypergraph.scoring import HeldOutHyperedges, held_out, score

NEARLY = 0.99  # of the best
JOINED = {"joined": (), "joined, rows reset": ("artwork",)}
Curve = list[tuple[float, float]]


class Newcomer(Enum):
    """The modality that joins."""

    medium = "medium"
    subject = "subject"


def main(
    newcomer: Annotated[Newcomer, typer.Argument()],
    artworks: Annotated[Path, typer.Option(help="Tate's table of artworks.")],
    subjects: Annotated[Path | None, typer.Option(help="Tate's table of subjects.")] = None,
    relation: Annotated[
        str, typer.Option(help="The relation whose hyperedges are held out.")
    ] = "artwork",
    seeds: Annotated[int, typer.Option()] = 3,
    first_seed: Annotated[int, typer.Option()] = 0,
    seconds: Annotated[float, typer.Option(help="CPU seconds of training, for each model.")] = 60,
    lr: Annotated[
        float, typer.Option(help="Learning rate of all models.")
    ] = FactorOptimizerConfig().lr,
) -> None:
    """Train in every way with every seed, and print the table."""
    torch.set_num_threads(1)
    graph = from_tate(artworks, subjects)
    ways = ("from the start", *JOINED)
    columns = ["joins", "seed", "best MRR", *(f"{way}, s" for way in ways)]
    columns += [f"share, {way}" for way in JOINED] + [f"test MRR, {way}" for way in ways]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    shares = []
    for seed in range(first_seed, first_seed + seeds):
        config = HyperLearnConfig.model_validate(
            {
                "seed": seed,
                "model": {"dim": 32},
                "loss": {"negatives": 16},
                "optimizer": {"lr": lr},
            }
        )
        shares.append(one(graph, newcomer.value, relation, config, seconds))
    medians = [f"{median(of):.2f}" for of in zip(*shares, strict=True)]
    row = [newcomer.value, "median", *[""] * (1 + len(ways)), *medians, *[""] * len(ways)]
    print("| " + " | ".join(row) + " |")


def one(
    graph: MultimodalHypergraph,
    newcomer: str,
    relation: str,
    config: HyperLearnConfig,
    seconds: float,
) -> list[float]:
    """Train with one seed; return the joined models' times as shares of the other's time."""
    split = split_relation(graph, relation, seed=config.seed)
    train = split.train.relation(relation)
    valid = held_out(split.valid, train, split.test).sample(1000, config.seed)
    test = held_out(split.test, train, split.valid)
    before = HyperLearn(without(split.train, newcomer), config)
    for _ in looks(before.trainer, seconds):
        pass

    def joined(reset: tuple[str, ...]) -> HyperLearn:
        return HyperLearn(split, config).warm_start(before, reset_rows=reset)

    models = [HyperLearn(split, config), *map(joined, JOINED.values())]
    curves, factors = zip(*(curve(model, valid, seconds) for model in models), strict=True)
    best = max(value for _, value in curves[0])
    had = [reached(found, NEARLY * best) for found in curves]
    shares = [at / had[0] for at in had[1:]]
    row = [newcomer, str(config.seed), f"{best:.4f}", *(f"{at:.0f}" for at in had)]
    row += [f"{share:.2f}" for share in shares]
    row += [f"{score(of, test)['mrr']:.4f}" for of in factors]
    print("| " + " | ".join(row) + " |", flush=True)
    return shares


def without(graph: MultimodalHypergraph, newcomer: str) -> MultimodalHypergraph:
    """The hypergraph without a modality; relations keep their other modalities, if two are left.

    Graphs that were made from hyperedges are made again from the remaining ones.
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


def curve(model: HyperLearn, valid: HeldOutHyperedges, seconds: float) -> tuple[Curve, Factors]:
    """Train; return pairs (CPU seconds, validation MRR), and the best factors."""
    kept = model.trainer.factors()
    found: Curve = [(0.0, score(kept, valid)["mrr"])]
    for done in looks(model.trainer, seconds):
        factors = model.trainer.factors()
        found.append((done.used_s, score(factors, valid)["mrr"]))
        if found[-1][1] == max(value for _, value in found):
            kept = factors
    return found, kept


def reached(found: Curve, value: float) -> float:
    """The time at which a value was reached; infinite if it was not reached."""
    return next((at for at, now in found if now >= value), np.inf)


if __name__ == "__main__":
    typer.run(main)
