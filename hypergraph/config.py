"""The config of HyperLearn: a frozen model per component, which holds all defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from hvdtma.core.config import (
    Component,
    Count,
    Hops,
    NotNegative,
    Positive,
    PositiveFloat,
    Seconds,
    Share,
    Width,
)
from hvdtma.core.files import expanded
from hvdtma.core.train_config import MOST_NEGATIVES, OptimizerConfig
from hypergraph.data.tables.specs import ModalityTables, RelationTables


class FactorModelConfig(Component):
    """The network that makes the factor of a modality."""

    dim: Width = 64
    """Width of the shared space: the rank of the factorisation."""
    order: Hops = 2
    """Order of the Chebyshev polynomials: the hops around an item that one diffusion step reads."""
    steps: Hops = 2
    """Diffusion steps of the LSTM. 0: a plain factorisation, with features if there are any."""
    features: bool = True
    """Whether features are encoded into the factors."""
    row_dropout: dict[str, Share] = Field(default_factory=dict)
    """Modality -> share of its items whose own rows are dropped, drawn again in each iteration. The
    mean row takes their place, as for items without a hyperedge, so that the model learns more from
    features and graphs. For modalities whose items are often asked about unseen."""


class LossConfig(Component):
    """The loss."""

    name: Literal["ranking", "gram"] = "ranking"
    """For relations without values. ranking: sampled softmax against corrupted hyperedges. gram:
    squared error over the whole tensor, through Gram matrices. Relations with values always use
    the squared error over their observed entries."""
    negatives: Annotated[int, Field(ge=1, le=MOST_NEGATIVES)] = 64
    """ranking: corrupted items for each hyperedge and modality."""
    absent_ratio: PositiveFloat = 1.0
    """gram: weight of all absent hyperedges together, relative to all present ones."""
    smoothness: NotNegative = 0.01
    """Weight of the term 1/2 tr(F^T L F) / N of each modality."""


class JoinConfig(Component):
    """Training after new modalities have joined a trained model."""

    alone: Count = 20
    """First iterations, in which only the new modalities are trained. They cost little: the other
    modalities' factors are computed once."""
    warm_up: Count = 10
    """Iterations after those, over which the learning rate of all modalities rises; 0: none."""


class ValidationConfig(Component):
    """Scoring of the validation hyperedges."""

    every: Positive = 100
    """Iterations between two scores (with stale factors: at the next exchange)."""
    patience: Count = 0
    """Stop after this many scores without a better one; 0 never."""
    metric: str | None = None
    """The metric that chooses the best factors. None: rmse for relations with values, else mrr."""
    max_hyperedges: Count = 2000
    """Size of a fixed sample of the validation hyperedges; 0 scores all. The test scores all."""


class FitCheckpointConfig(Component):
    """Checkpoints, from which `python -m hypergraph train --resume RUN` continues."""

    every: Count = 10
    """Scores between two checkpoints; 0: none. A checkpoint is also written at the end of training
    and when a signal interrupts it."""


class FactorOptimizerConfig(OptimizerConfig):
    """The optimiser. Gradients are clipped by modality: the placement makes no difference."""

    lr: PositiveFloat = 0.01
    """Learning rate."""


class HyperLearnConfig(Component):
    """Training of HyperLearn."""

    seed: Count = 0
    """Seed of initial factors, batches and corrupted items."""
    iterations: Positive | None = 2000
    """Stop after this many iterations."""
    time_limit_s: Seconds | None = None
    """Stop at the first score after this many seconds of training; scoring does not count."""
    batch_size: Positive | None = 4096
    """Hyperedges of each relation in an iteration; None takes all."""
    exchange_s: Seconds | None = None
    """Seconds between exchanges of factors; in between, each rank trains on the factors that it
    received last. None: an exact exchange in every iteration."""
    exchange_steps: Positive | None = None
    """The same in iterations of every rank: reproducible, but all wait for the slowest rank."""
    placement: dict[str, Count | str] = Field(default_factory=dict)
    """Modality -> a rank (its first device), or a device of a single process such as cuda:1. Empty:
    balanced by size."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: one GPU per rank if there are GPUs; a single process uses all."""
    precision: Literal["float32", "float64"] = "float32"
    """Precision of parameters and computation."""
    model: FactorModelConfig = FactorModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: FactorOptimizerConfig = FactorOptimizerConfig()
    evaluate: ValidationConfig = ValidationConfig()
    join: JoinConfig = JoinConfig()

    @property
    def stale(self) -> bool:
        """Whether ranks train on the factors that they received last, which may be outdated."""
        return self.exchange_s is not None or self.exchange_steps is not None

    @property
    def dtype(self) -> torch.dtype:
        return {"float32": torch.float32, "float64": torch.float64}[self.precision]

    @model_validator(mode="after")
    def _check(self) -> HyperLearnConfig:
        if self.iterations is None and self.time_limit_s is None and not self.evaluate.patience:
            raise ValueError(
                "nothing ends this run; give iterations, time_limit_s or evaluate.patience"
            )
        if self.exchange_s is not None and self.exchange_steps is not None:
            raise ValueError("give exchange_s or exchange_steps, not both")
        return self


class TateConfig(Component):
    """The tables of the Tate collection."""

    artworks: Path
    """The table of artworks; `hypergraph.data.sources.tate` lists its columns."""
    subjects: Path | None = None
    """Subjects as a fifth modality, with names from this table. None: subjects are features."""


class DebianConfig(Component):
    """The package archive of this machine."""

    relations: Literal["star", "joint"] = "star"
    """star: a relation of maintainers and one of tags. joint: one relation of both; see
    `hypergraph.data.sources.debian`. Use joint with `data.together: package`."""


class TablesConfig(Component):
    """Your own tables."""

    modalities: dict[str, Annotated[dict[str, Any], ModalityTables] | None]
    """Name -> tables of the modality, with the keys of `ModalityTables` in
    `hypergraph.data.tables.specs`."""
    relations: dict[str, Annotated[dict[str, Any], RelationTables]]
    """Name -> tables of the relation, with the keys of `RelationTables` there."""


SOURCES = ("hypergraph", "tate", "debian", "tables")


class DataConfig(Component):
    """The data: a source, and the hyperedges that are held out."""

    hypergraph: Path | None = None
    """A hypergraph that `MultimodalHypergraph.save` wrote. Give this or one of the next three."""
    tate: TateConfig | None = None
    debian: DebianConfig | None = None
    tables: TablesConfig | None = None
    relation: str | None = None
    """The relation whose hyperedges are held out; None: the only one."""
    valid: Share = 0.1
    """Share of hyperedges that are held out for validation. A split that comes with the data is
    kept; if it has no validation part, this share of its training part is held out (0: none)."""
    test: Share = 0.1
    """Share of hyperedges that are held out for the test. Not for data that come with a split."""
    split_seed: Count = 0
    """Seed of the hyperedges that are held out."""
    together: str | None = None
    """A modality; all hyperedges of one of its items are held out together, where one of them would
    give away the others. Not for data that come with a split."""

    @model_validator(mode="before")
    @classmethod
    def _debian_with_defaults(cls, values: Any) -> Any:
        """`debian:` without a value, and without another source, is Debian with its defaults."""
        if not isinstance(values, dict) or "debian" not in values:
            return values
        alone = all(values.get(source) is None for source in SOURCES)
        return values | {"debian": {}} if alone else values

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        given = sum(getattr(self, source) is not None for source in SOURCES)
        if given != 1:
            raise ValueError(f"give one of hypergraph, tate, debian and tables, not {given}")
        return self

    def with_paths(self, change: Callable[[Path], Path]) -> DataConfig:
        """A copy in which every path is changed."""
        tate, tables = self.tate, self.tables
        if tate is not None:
            subjects = None if tate.subjects is None else change(tate.subjects)
            tate = tate.model_copy(update={"artworks": change(tate.artworks), "subjects": subjects})
        if tables is not None:
            modalities = {
                name: spec and _changed(spec, ("edges", "features"), change)
                for name, spec in tables.modalities.items()
            }
            relations = {
                name: _changed(spec, ("table",), change) for name, spec in tables.relations.items()
            }
            tables = tables.model_copy(update={"modalities": modalities, "relations": relations})
        hypergraph = None if self.hypergraph is None else change(self.hypergraph)
        update = {"hypergraph": hypergraph, "tate": tate, "tables": tables}
        return self.model_copy(update=update)


def _changed(
    spec: dict[str, Any], keys: tuple[str, ...], change: Callable[[Path], Path]
) -> dict[str, Any]:
    """The keys of a table with changed paths: a single path, or a path per part of a split."""
    return spec | {key: _changed_path(spec[key], change) for key in keys if spec.get(key)}


def _changed_path(given: Any, change: Callable[[Path], Path]) -> Any:
    if isinstance(given, dict):
        return {part: _changed_path(path, change) for part, path in given.items()}
    return str(change(expanded(given))) if isinstance(given, str | Path) else given


class RunConfig(HyperLearnConfig):
    """A run: `python -m hypergraph train CONFIG`."""

    data: DataConfig
    run: Path
    """The folder of the run, which is created."""
    warm_start: Path | None = None
    """The folder of a run with fewer modalities, whose factors this run starts from."""
    reset_rows: tuple[str, ...] = ()
    """Modalities whose rows a warm start does not load; see `HyperLearn.warm_start`."""
    checkpoint: FitCheckpointConfig = FitCheckpointConfig()

    @model_validator(mode="after")
    def _reset_rows_need_a_warm_start(self) -> RunConfig:
        if self.reset_rows and self.warm_start is None:
            raise ValueError("reset_rows needs a warm start; give warm_start, or leave it out")
        return self

    @property
    def resolved(self) -> RunConfig:
        """A copy with absolute paths, which can be read from any folder."""
        warm_start = self.warm_start and self.warm_start.resolve()
        data = self.data.with_paths(Path.resolve)
        return self.model_copy(update={"data": data, "warm_start": warm_start})

    @property
    def inputs(self) -> list[Path]:
        """The files and folders that the run reads."""
        found = [] if self.warm_start is None else [self.warm_start]

        def note(path: Path) -> Path:
            found.append(path)
            return path

        self.data.with_paths(note)
        return found
