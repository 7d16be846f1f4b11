"""HyperLearn compared with simpler methods after equal training time.

    python benchmarks/hyperlearn.py run tate --artworks artworks.csv.gz
    python benchmarks/hyperlearn.py run tate --artworks artworks.csv.gz --subjects subjects.csv.gz
    python benchmarks/hyperlearn.py run debian

Methods: HyperLearn; HyperLearn without graphs (no diffusion, no smoothness); plain CP (no features
either); a graph convolution network on the joined graph; popularity, which needs no training. For
each seed (of the split, the initial values and the batches) they are trained in one process on one
core, for the same CPU seconds, at the same width, loss and batches. Each is scored now and then on
the same validation hyperedges, which does not count as training. The best state of each is scored
on all test hyperedges. Prints a Markdown table: means over seeds and their standard deviations.

First, every method is tuned in the same way, on a seed that is not reported, for `--tune-seconds` a
setting: Adam at three learning rates, at lower and higher ones while those are better, then the
best rate with decoupled weight decay. With `--row-dropout`, the best setting so far is also tried
with this share of the artworks' (packages') own rows dropped in each iteration; the convolution
network then drops the edges of these items' hyperedges too, as it must for unseen items. The
setting with the best validation MRR is used for all seeds.

Items without a training hyperedge are usual here: an artwork has one hyperedge, which may be held
out. HyperLearn and the convolution network know such items by features or neighbours. In every
method, the mean of the modality's trained items stands for the item's own parameters.

Several processes can share the work, after one that only tunes:

    python benchmarks/hyperlearn.py run debian --seeds 0 --out tuned.jsonl
    python benchmarks/hyperlearn.py run debian --tuned tuned.jsonl --seeds 3 --out a.jsonl
    python benchmarks/hyperlearn.py run debian --tuned tuned.jsonl --first-seed 3 --seeds 2 \
        --out b.jsonl
    python benchmarks/hyperlearn.py table a.jsonl b.jsonl
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from hypergraph import (
    HyperLearn,
    HyperLearnConfig,
    MultimodalHypergraph,
    from_debian,
    from_tate,
    split_relation,
)
from hypergraph.baselines import JointGCN, cp_config, popularity, without_context
from hypergraph.factors import Factors
from hypergraph.scoring import HeldOutHyperedges, held_out, score
from hypergraph.train.rank_trainer import RankTrainer

LOOKS = 20  # at validation hyperedges, closer together at the start
TUNING_SEED = 1000
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
FIRST_RATES = (0.003, 0.01, 0.03)
SAME = (
    "source",
    "modalities",
    "hypergraph",
    "dim",
    "negatives",
    "row_dropout",
)  # of results that go together
DECAY = 0.1  # times the rate, in a step: a few hundred of them are felt

app = typer.Typer(add_completion=False)
Metrics = dict[str, float]
Trained = RankTrainer | JointGCN
Method = Callable[[MultimodalHypergraph, HyperLearnConfig], Trained]
"""Makes a trainer from a hypergraph and a config."""
Setting = dict[str, Any]
"""Keys of the optimiser, and the share of dropped rows (`row_dropout`), if there is one."""
Record = dict[str, Any]
"""A line of results."""


class Source(StrEnum):
    """The data set."""

    tate = "tate"
    debian = "debian"


@dataclass(frozen=True)
class Task:
    """The data and the sizes, the same for every method."""

    graph: MultimodalHypergraph
    relation: str
    dim: int
    negatives: int
    row_dropout: float

    def config(self, seed: int, setting: Setting) -> HyperLearnConfig:
        """The config for a seed and a setting."""
        optimizer = {key: value for key, value in setting.items() if key != "row_dropout"}
        about = self.graph.relation(self.relation).modalities[0]
        row_dropout = {about: setting.get("row_dropout", 0.0)}
        return HyperLearnConfig.model_validate(
            {
                "seed": seed,
                "model": {"dim": self.dim, "row_dropout": row_dropout},
                "loss": {"negatives": self.negatives},
                "optimizer": optimizer,
            }
        )

    def parts(self, seed: int) -> tuple[MultimodalHypergraph, HeldOutHyperedges, HeldOutHyperedges]:
        """The training hypergraph, a sample of validation hyperedges, and the test hyperedges."""
        split = split_relation(self.graph, self.relation, seed=seed)
        train = split.train.relation(self.relation)
        valid = held_out(split.valid, train, split.test).sample(1000, seed)
        return split.train, valid, held_out(split.test, train, split.valid)


@app.command()
def run(
    source: Annotated[Source, typer.Argument()],
    artworks: Annotated[Path | None, typer.Option(help="Tate's table of artworks.")] = None,
    subjects: Annotated[
        Path | None, typer.Option(help="Tate's table of subjects, a fifth modality.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds; 0 only tunes.")] = 5,
    first_seed: Annotated[int, typer.Option()] = 0,
    seconds: Annotated[
        float, typer.Option(help="CPU seconds of training, for each method and seed.")
    ] = 80,
    tune_seconds: Annotated[
        float | None,
        typer.Option(help="CPU seconds for each setting; default: half of --seconds; 0: none."),
    ] = None,
    tuned: Annotated[
        Path | None, typer.Option(help="File of results with the settings to use.")
    ] = None,
    dim: Annotated[int, typer.Option(help="Width of the factors.")] = 32,
    negatives: Annotated[int, typer.Option(help="Number of corrupted items.")] = 16,
    row_dropout: Annotated[
        float, typer.Option(help="Share of dropped rows to try; 0: none.")
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="File to which results are appended.")] = None,
) -> None:
    """Tune every method, train it with every seed, and print the table."""
    if TUNING_SEED in range(first_seed, first_seed + seeds):
        raise typer.BadParameter(f"seed {TUNING_SEED} is tuned on; report others")
    torch.set_num_threads(1)
    graph, relation = load(source, artworks, subjects)
    typer.echo(f"{graph}\n")
    task = Task(graph, relation, dim, negatives, row_dropout)
    of: Record = {"source": source.value, "modalities": list(graph.relation(relation).modalities)}
    of |= {"hypergraph": repr(graph), "dim": dim, "negatives": negatives}
    of |= {"row_dropout": row_dropout}
    tune_s = seconds / 2 if tune_seconds is None else tune_seconds
    if tuned is not None:
        settings = settings_of(tuned, of)
    elif tune_s:
        settings = {name: tune(task, name, tune_s, partial(keep, out, of)) for name in METHODS}
    else:
        default = HyperLearnConfig().optimizer.model_dump(include={"name", "lr", "weight_decay"})
        settings = dict.fromkeys(METHODS, default)
    of |= {"seconds": seconds}
    found: list[Record] = []
    for seed in range(first_seed, first_seed + seeds):
        for record in scores(task, seed, settings, seconds):
            found.append(of | record)
            keep(out, of, record)
    if found:
        typer.echo(as_table(found))


@app.command()
def table(files: Annotated[list[Path], typer.Argument(help="Results of `run --out`.")]) -> None:
    """Print the table of the results in one or more files."""
    found = [r for path in files for r in read(path) if r["kind"] == "scored"]
    if not found:
        raise typer.BadParameter("no seed was trained in any of them")
    for key in (*SAME, "seconds"):
        if any(record[key] != found[0][key] for record in found):
            raise typer.BadParameter(f"results are of different {key}; give those of one")
    if len({(r["seed"], r["method"]) for r in found}) < len(found):
        raise typer.BadParameter("a seed is there twice; give each one's results once")
    typer.echo(as_table(found))


def load(
    source: Source, artworks: Path | None, subjects: Path | None
) -> tuple[MultimodalHypergraph, str]:
    """The hypergraph, and the relation whose hyperedges are held out."""
    if source is Source.debian:
        return from_debian(), "maintained"
    if artworks is None:
        raise typer.BadParameter("tate needs --artworks")
    return from_tate(artworks, subjects), "artwork"


def without_graphs(data: MultimodalHypergraph, config: HyperLearnConfig) -> RankTrainer:
    """HyperLearn without the graphs inside modalities."""
    for name in data.modalities:
        data = data.with_intra(name, None)
    return HyperLearn(data, config).trainer


def plain_cp(data: MultimodalHypergraph, config: HyperLearnConfig) -> RankTrainer:
    """HyperLearn without graphs, features and diffusion."""
    return HyperLearn(without_context(data), cp_config(config)).trainer


METHODS: dict[str, Method] = {
    "HyperLearn": lambda data, config: HyperLearn(data, config).trainer,
    "HyperLearn without graphs": without_graphs,
    "GCN on the joined graph": JointGCN,
    "plain CP": plain_cp,
}


def tune(task: Task, name: str, seconds: float, tell: Callable[[Record], None]) -> Setting:
    """The setting of a method with the best validation MRR on a seed of its own."""
    train, valid, _ = task.parts(TUNING_SEED)

    def reached(setting: Setting) -> float:
        config = task.config(TUNING_SEED, setting)
        _, course = trained(METHODS[name], train, config, valid, seconds)
        tell({"kind": "tried", "method": name, "setting": setting} | asdict(course))
        return course.valid_mrr

    plain = {"name": "adam", "weight_decay": 0.0}
    rate, mrr = best_rate(lambda rate: reached({**plain, "lr": rate}))
    setting = {**plain, "lr": rate}
    decayed = {"name": "adamw", "lr": rate, "weight_decay": DECAY}
    if (with_decay := reached(decayed)) > mrr:
        setting, mrr = decayed, with_decay
    dropped = {**setting, "row_dropout": task.row_dropout}
    if task.row_dropout and (with_dropout := reached(dropped)) > mrr:
        setting, mrr = dropped, with_dropout
    tell({"kind": "tuned", "method": name, "setting": setting, "valid_mrr": mrr})
    typer.echo(f"- {name}: {said(setting)}")
    return setting


def best_rate(reached: Callable[[float], float]) -> tuple[float, float]:
    """The best learning rate and its score; the rates below and above it were tried too."""
    tried = {rate: reached(rate) for rate in FIRST_RATES}
    while True:
        best = max(tried, key=tried.__getitem__)
        at = RATES.index(best)
        untried = [rate for rate in RATES[max(at - 1, 0) : at + 2] if rate not in tried]
        if not untried:
            return best, tried[best]
        tried |= {rate: reached(rate) for rate in untried}


def scores(task: Task, seed: int, settings: dict[str, Setting], seconds: float) -> Iterator[Record]:
    """Each method's test metrics for a seed, as soon as they are known."""
    train, valid, test = task.parts(seed)
    for name, method in METHODS.items():
        config = task.config(seed, settings[name])
        factors, course = trained(method, train, config, valid, seconds)
        about = {"kind": "scored", "seed": seed, "method": name, "setting": settings[name]}
        yield about | asdict(course) | {"metrics": score(factors, test)}
    metrics = score(popularity(train, task.relation), test)
    yield {"kind": "scored", "seed": seed, "method": "popularity", "metrics": metrics}


@dataclass(frozen=True)
class Course:
    """The course of a training; seconds are CPU time."""

    valid_mrr: float
    best_s: float
    used_s: float
    iterations: int


def trained(
    method: Method,
    train: MultimodalHypergraph,
    config: HyperLearnConfig,
    valid: HeldOutHyperedges,
    seconds: float,
) -> tuple[Factors, Course]:
    """Train for some CPU seconds; return the best factors on validation, and the course."""
    trainer = method(train, config)
    best, best_s, kept = -1.0, 0.0, trainer.factors()
    for done in looks(trainer, seconds):
        factors = trainer.factors()
        now = score(factors, valid)["mrr"]
        if now > best:
            best, best_s, kept = now, done.used_s, factors
    return kept, Course(best, best_s, done.used_s, done.iterations)


@dataclass(frozen=True)
class Done:
    """The CPU seconds and iterations of a trainer so far."""

    used_s: float
    iterations: int


def looks(trainer: Trained, seconds: float) -> Iterator[Done]:
    """Train for some CPU seconds; yields now and then, and at the end, to score the factors."""
    used = 0.0
    iterations = seen = 0
    while used < seconds:
        start = time.process_time()
        trainer.iterate()
        used += time.process_time() - start
        iterations += 1
        if used >= seconds * (seen / LOOKS) ** 2:
            seen += 1
            yield Done(used, iterations)


def settings_of(path: Path, of: Record) -> dict[str, Setting]:
    """The settings that an earlier run found for the same task."""
    found = [r for r in read(path) if r["kind"] == "tuned"]
    settings = {r["method"]: r["setting"] for r in found if all(r[k] == of[k] for k in SAME)}
    if lacking := [name for name in METHODS if name not in settings]:
        raise typer.BadParameter(f"'{path}' has no settings for this task of {', '.join(lacking)}")
    for name, setting in settings.items():
        typer.echo(f"- {name}: {said(setting)}")
    return settings


def keep(out: Path | None, of: Record, record: Record) -> None:
    """Append a result to a file, if there is one, and print it."""
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps(of | record) + "\n")
    mrr = f"mrr {record['metrics']['mrr']:.4f}" if "metrics" in record else ""
    if "best_s" in record:
        mrr += f" valid {record['valid_mrr']:.4f}, best at {record['best_s']:.0f} of "
        mrr += f"{record['used_s']:.0f} s, {record['iterations']} iterations"
    seed = f" seed {record['seed']}," if "seed" in record else ""
    setting = f" ({said(record['setting'])})" if "setting" in record else ""
    typer.echo(f"{record['kind']}:{seed} {record['method']}{setting} {mrr}", err=True)


def read(path: Path) -> list[Record]:
    """The results in a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def said(setting: Setting) -> str:
    """A setting in a few words."""
    decay = f", decay {setting['weight_decay']:g}" if setting["weight_decay"] else ""
    dropped = f", rows dropped {setting['row_dropout']:g}" if "row_dropout" in setting else ""
    return f"{setting['name']}, lr {setting['lr']:g}{decay}{dropped}"


def as_table(found: list[Record]) -> str:
    """The results as a Markdown table: mean and standard deviation over seeds."""
    names = found[0]["modalities"]
    columns = ["mrr", "hits@1", "hits@10", "average_precision", *(f"mrr/{n}" for n in names)]
    lines = ["| method | setting | seeds | " + " | ".join(columns) + " |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for method in dict.fromkeys(record["method"] for record in found):
        its = [record for record in found if record["method"] == method]
        settings = dict.fromkeys(said(r["setting"]) for r in its if "setting" in r)
        cells = [method, "; ".join(settings), str(len(its))]
        for name in columns:
            values = np.array([record["metrics"][name] for record in its])
            spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.4f}{spread}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    app()
