"""A modality that joins a trained model, beside learning all of them from the start.

    python benchmarks/hyperlearn_joining.py medium --artworks A.csv.gz
    python benchmarks/hyperlearn_joining.py subject --artworks A.csv.gz --subjects S.csv.gz
    python benchmarks/hyperlearn_joining.py subject --artworks A.csv.gz --subjects S.csv.gz \
        --relation subject

Tate: the medium joins artwork, artist and century (their relation becomes one of four), or the
subject joins those four (with a relation of its own). Held out are hyperedges of the relation of
four, or of the subject's. For each seed the model without the newcomer is trained for `--seconds`
of CPU time, on graphs inside modalities that are made without it too; then three are trained with
it: from the start, from where the one without it stands (`warm_start`: alone at first, then all),
and the same with artworks' rows reset.

Prints a Markdown table: the best validation MRR from the start, after how many seconds each had
99 % of it (the maximum itself, of a noisy curve that has flattened, may come at any time), and what
each scored on test, in its best state by validation. The joined ones' times count from when the
newcomer joined; 0 is before any training with it. Their test scores are not of equal compute: they
have had `--seconds` twice, before and after, where the other had them once. All have one learning
rate, `--lr`.
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
    artworks: Annotated[Path, typer.Option(help="Tate's table.")],
    subjects: Annotated[Path | None, typer.Option(help="Its other one, for subjects.")] = None,
    relation: Annotated[str, typer.Option(help="What is held out of.")] = "artwork",
    seeds: Annotated[int, typer.Option()] = 3,
    first_seed: Annotated[int, typer.Option()] = 0,
    seconds: Annotated[float, typer.Option(help="Of training, each; CPU time.")] = 60,
    lr: Annotated[float, typer.Option(help="Learning rate of all.")] = FactorOptimizerConfig().lr,
) -> None:
    """Train all ways for each seed, print the table."""
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
    """Of one seed: the joined ones' times as shares of the other's; infinite if it never came."""
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


def curve(model: HyperLearn, valid: HeldOutHyperedges, seconds: float) -> tuple[Curve, Factors]:
    """(CPU seconds trained, validation MRR) now and then, and the best factors of them."""
    kept = model.trainer.factors()
    found: Curve = [(0.0, score(kept, valid)["mrr"])]
    for done in looks(model.trainer, seconds):
        factors = model.trainer.factors()
        found.append((done.used_s, score(factors, valid)["mrr"]))
        if found[-1][1] == max(value for _, value in found):
            kept = factors
    return found, kept


def reached(found: Curve, value: float) -> float:
    """When a value was reached; infinite if it never was."""
    return next((at for at, now in found if now >= value), np.inf)


if __name__ == "__main__":
    typer.run(main)
