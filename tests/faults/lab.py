"""The graphs, runs and models that faults hit: small, made once, and then only copied or read."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from faults import preloaded
from faults.preloaded import Entry, hvdtma, hypergraph

SOURCE = "synthetic:nodes=240,edges=1400,features=6,communities=4"
BUILD = ("--valid", 40, "--test", 40, "--negatives", 8, "--block-nodes", 12)
ROUNDS, EARLY_ROUNDS = 6, 3
ITERATIONS, EARLY_ITERATIONS = 30, 15
LONG_S = 300.0  # the first of everything: code may have to be compiled
PEOPLE = 40


@dataclass(frozen=True)
class Lab:
    """A folder of examples.

    Attributes:
        folder: graph.zarr and other.zarr (stores), run and early (runs of `train.yaml`, the second
            with fewer rounds), model (pretrained), hyper.zarr (a hypergraph), fit and early_fit
            (runs of `fit.yaml`), and the tables edges.csv, features.csv, labels.csv and pairs.csv.
    """

    folder: Path

    def __getattr__(self, name: str) -> Path:
        """`lab.graph` is the store graph.zarr, and so on."""
        stored = {"graph", "other", "grouped", "hyper"}
        return self.folder / (f"{name}.zarr" if name in stored else name)

    @property
    def config(self) -> Path:
        return self.folder / "train.yaml"

    @property
    def fit_config(self) -> Path:
        return self.folder / "fit.yaml"

    def table(self, name: str) -> Path:
        """One of the tables."""
        return self.folder / f"{name}.csv"

    def make(self) -> None:
        """Make everything, by the product's own commands."""
        self.folder.mkdir(parents=True)
        self._write_tables()
        self._write_configs()
        steps: list[Entry] = [
            hvdtma("build", self.graph, SOURCE, *BUILD),
            hvdtma("build", self.other, f"{SOURCE},seed=1", *BUILD),
            hvdtma("partition", self.graph, self.grouped, "--method", "super"),
            hvdtma("train", self.config, "--in-process", 2),
            hvdtma("train", self.config, *EARLY, "--in-process", 2),
            preloaded.called(self._save_pretrained),
            preloaded.called(self._save_hypergraph),
            hypergraph("train", self.fit_config),
            hypergraph("train", self.fit_config, *EARLY_FIT),
        ]
        for step in steps:
            ended = preloaded.run(step, self.folder, limit_s=LONG_S)
            if ended.status:
                raise RuntimeError(f"the lab could not be made:\n{ended.err}")

    def remembered(self, name: str, make: Callable[[Path], Any]) -> Any:
        """A value of plain JSON that is made once, in a folder of its own, for all processes."""
        record = self.folder.parent / f"{name}.json"
        if not record.exists():
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder.parent))
            new = folder / "value.json"
            new.write_text(json.dumps(make(folder)))
            new.rename(record)
        return json.loads(record.read_text())

    def copy(self, name: str, folder: Path, called: str | None = None) -> Path:
        """A copy of an example, in the folder of a case."""
        found = self.folder / name
        copied = folder / (called or name)
        (shutil.copytree if found.is_dir() else shutil.copy)(found, copied)
        return copied

    def _write_configs(self) -> None:
        train: dict[str, Any] = {
            "store": str(self.graph),
            "run": "run",  # in the folder of the case
            "interval_steps": 2,
            "rounds": ROUNDS,
            "threads": 1,
            "model": {"hidden": 8},
            "task": {"batch_size": 64, "num_negatives": 8},
            "evaluate": {"mode": "inline"},
            "checkpoint": {"every": 1},
            "log": ["csv"],
        }
        fit: dict[str, Any] = {
            "data": {"hypergraph": str(self.hyper)},
            "run": "fit",
            "iterations": ITERATIONS,
            "batch_size": 16,
            "model": {"dim": 4},
            "loss": {"negatives": 4},
            "evaluate": {"every": 5},
            "checkpoint": {"every": 1},
        }
        self.config.write_text(yaml.safe_dump(train))
        self.fit_config.write_text(yaml.safe_dump(fit))

    def _write_tables(self) -> None:
        """People who know one another: ids are text, features and labels fit."""
        edges = [(i, (i * step + 1) % PEOPLE) for i in range(PEOPLE) for step in (1, 3, 7)]
        written = {
            "edges": ["src,dst", *(f"p{u},p{v}" for u, v in edges if u != v)],
            "features": ["id,x,y", *(f"p{i},{i / 7:.3f},{i % 3}" for i in range(PEOPLE))],
            "labels": ["id,label", *(f"p{i},{'ab'[i % 2]}" for i in range(PEOPLE))],
            "pairs": ["src,dst", *(f"{i},{i + 9}" for i in range(20))],
            "ids": ["id", *(f"{i}" for i in range(20))],
            "made": ["work,artist,part", *(f"w{i},a{i % 5},{PARTS[i % 8]}" for i in range(PEOPLE))],
            "works": ["id,x", *(f"w{i},{i % 4}" for i in range(PEOPLE))],
        }
        for name, lines in written.items():
            self.table(name).write_text("\n".join(lines) + "\n")

    def _save_pretrained(self) -> None:
        from hvdtma.api.run import Run

        Run(self.run).save_pretrained(self.model)

    def _save_hypergraph(self) -> None:
        import numpy as np

        from hypergraph import Intra, Modality, MultimodalHypergraph, Relation

        random = np.random.default_rng(0)
        names = np.array([f"artist {number}" for number in range(8)])
        works = Modality("work", 30, features=random.normal(size=(30, 3)))
        artists = Modality("artist", 8, names, intra=Intra([[0, 1], [2, 3], [4, 5]], [1, 0.5, 2]))
        made = random.integers(0, (30, 8), (90, 2))
        data = MultimodalHypergraph.of(
            [works, artists], [Relation("made", ("work", "artist"), made)]
        )
        data.save(self.hyper)


PARTS = [*["train"] * 6, "valid", "test"]
EARLY = (f"rounds={EARLY_ROUNDS}", "run=early")
EARLY_FIT = (f"iterations={EARLY_ITERATIONS}", "run=early_fit")
