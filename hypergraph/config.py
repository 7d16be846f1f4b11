"""The config of HyperLearn: one frozen model per component, the one place where defaults live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator

from hvdtma.core.config import (
    Component,
    Count,
    NotNegative,
    Positive,
    PositiveFloat,
    Seconds,
    Share,
)
from hvdtma.core.train_config import OptimizerConfig as BaseOptimizerConfig


class ModelConfig(Component):
    """What turns a modality's items into factors."""

    dim: Positive = 64
    """Width of the shared space: the rank of the factorisation."""
    order: Count = 2
    """Of the Chebyshev polynomials: an item hears so many hops around it in a step."""
    steps: Count = 2
    """Diffusion steps of the LSTM; 0 is a plain factorisation, with features if there are any."""
    features: bool = True
    """Whether items' features are encoded into their factors."""
    row_dropout: dict[str, Share] = Field(default_factory=dict)
    """Modality -> share of its items' own rows that are left out of an iteration, drawn anew each
    time; the mean stands there, as for items without a hyperedge, so that more is learned of what
    features and graph say. For modalities whose items are often asked about unseen."""


class LossConfig(Component):
    """What is minimised."""

    name: Literal["ranking", "gram"] = "ranking"
    """For relations without values: sampled softmax against corrupted hyperedges, or the squared
    error over the whole tensor through Gram matrices. Valued relations take their observed
    entries."""
    negatives: Positive = 64
    """Corrupted items for each hyperedge and modality (ranking)."""
    absent_ratio: PositiveFloat = 1.0
    """How much all absent hyperedges weigh together, against all present ones (gram)."""
    smoothness: NotNegative = 0.01
    """Weight of 1/2 tr(F^T L F) / N of each modality."""


class JoinConfig(Component):
    """How training goes on with modalities that join others, which begin where they stood."""

    alone: Count = 20
    """Of the iterations the first in which newcomers alone are trained, on the others as they
    stand. They cost little: the others' factors are made once."""
    warm_up: Count = 10
    """Iterations after those, over which the learning rate of all rises; 0: it is all there."""


class EvaluateConfig(Component):
    """When and how validation hyperedges are scored."""

    every: Positive = 100
    """Iterations between two scores (stale: at the exchange after)."""
    patience: Count = 0
    """Stop after so many scores without a better one; 0 never."""
    metric: str | None = None
    """That chooses the best factors; None: rmse of valued relations, else mrr."""
    max_hyperedges: Count = 2000
    """A fixed sample of the validation hyperedges; 0 takes all. The test takes all."""


class CheckpointConfig(Component):
    """What a run that is cut short goes on from: `python -m hypergraph train --resume RUN`."""

    every: Count = 10
    """Write one after every so many scores; 0: none. One is written at the end of training, and
    when it is interrupted by a signal, too."""


class OptimizerConfig(BaseOptimizerConfig):
    """As of hvdtma; gradients are clipped by modality, so that it does not matter what is where."""

    lr: PositiveFloat = 0.01


class TrainConfig(Component):
    """How HyperLearn is trained."""

    seed: Count = 0
    """Of initial factors, batches and corrupted items."""
    iterations: Positive | None = 2000
    """Stop after so many."""
    time_limit_s: Seconds | None = None
    """Stop at the first score after so many seconds of training, scoring left out."""
    batch_size: Positive | None = 4096
    """Hyperedges of each relation in an iteration; None takes all."""
    exchange_s: Seconds | None = None
    """Seconds between exchanges of factors; in between each rank trains on what it last remote_factors.
    None: exactly, every iteration."""
    exchange_steps: Positive | None = None
    """The same in iterations of every rank: reproducible, but the slowest is waited for."""
    placement: dict[str, Count | str] = Field(default_factory=dict)
    """Modality -> rank (its first device) or a device of the single process, such as cuda:1.
    Empty: balanced by size."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU per rank where there is one; a single process takes all."""
    precision: Literal["float32", "float64"] = "float32"
    """Of everything."""
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    join: JoinConfig = JoinConfig()

    @property
    def stale(self) -> bool:
        """Whether ranks train on what they last remote_factors, not on what is so."""
        return self.exchange_s is not None or self.exchange_steps is not None

    @property
    def dtype(self) -> torch.dtype:
        return {"float32": torch.float32, "float64": torch.float64}[self.precision]

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        if self.iterations is None and self.time_limit_s is None and not self.evaluate.patience:
            raise ValueError("nothing ends this run; give iterations, time_limit_s or patience")
        if self.exchange_s is not None and self.exchange_steps is not None:
            raise ValueError("give exchange_s or exchange_steps, not both")
        return self


class TateConfig(Component):
    """The Tate collection's tables."""

    artworks: Path
    subjects: Path | None = None
    """Subjects as a fifth modality, with names from this table; None: as features."""


class DebianConfig(Component):
    """The package archive of the machine it runs on."""

    relations: Literal["star", "joint"] = "star"
    """One relation for who keeps a package and one for its tags, or all in one: see
    `hypergraph.data.debian`. With joint, data.together: package."""


class TablesConfig(Component):
    """Tables of one's own; `hypergraph.data.from_tables` says what the keys mean."""

    modalities: dict[str, dict[str, Any] | None]
    relations: dict[str, dict[str, Any]]


SOURCES = ("hypergraph", "tate", "debian", "tables")


class DataConfig(Component):
    """What is learned from, and what is held out of it."""

    hypergraph: Path | None = None
    """What `MultimodalHypergraph.save` wrote; or one of the next three."""
    tate: TateConfig | None = None
    debian: DebianConfig | None = None
    tables: TablesConfig | None = None
    relation: str | None = None
    """Of which hyperedges are held out; None: the only one."""
    valid: Share = 0.1
    test: Share = 0.1
    """Shares held out. A split that the data come with is kept; where it has no hyperedges for
    validation, `valid` of its training part is held out (0: none)."""
    split_seed: Count = 0
    together: str | None = None
    """A modality: all hyperedges of one of its items fall on one side, where they would tell each
    other's other items. Not where the data come with a split."""

    @model_validator(mode="before")
    @classmethod
    def _all_defaults(cls, values: Any) -> Any:
        """`debian:` with nothing after it, and no other source, is Debian as its defaults say."""
        if not isinstance(values, dict) or "debian" not in values:
            return values
        alone = all(values.get(source) is None for source in SOURCES)
        return values | {"debian": {}} if alone else values

    @model_validator(mode="after")
    def _one(self) -> DataConfig:
        given = sum(getattr(self, source) is not None for source in SOURCES)
        if given != 1:
            raise ValueError(f"give one of hypergraph, tate, debian and tables, not {given}")
        return self

    def with_paths(self, change: Callable[[Path], Path]) -> DataConfig:
        """The same, with every path in it changed."""
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
    """A table's keys with the paths changed that some of them give: one, or one for each part."""
    return spec | {key: _changed_path(spec[key], change) for key in keys if spec.get(key)}


def _changed_path(given: Any, change: Callable[[Path], Path]) -> Any:
    if isinstance(given, dict):
        return {part: _changed_path(path, change) for part, path in given.items()}
    return str(change(Path(given))) if isinstance(given, str | Path) else given


class RunConfig(TrainConfig):
    """A whole run: `python -m hypergraph train CONFIG`."""

    data: DataConfig
    run: Path
    """The folder of the run; made new."""
    warm_start: Path | None = None
    """The folder of a run with fewer modalities, whose factors this one begins with."""
    reset_rows: tuple[str, ...] = ()
    """Of these, at a warm start, only the features' encoder; see `HyperLearn.begin_with`."""
    checkpoint: CheckpointConfig = CheckpointConfig()

    @model_validator(mode="after")
    def _rows_are_reset_at_a_warm_start(self) -> RunConfig:
        if self.reset_rows and self.warm_start is None:
            raise ValueError("reset_rows is of a warm start; give warm_start, or leave it out")
        return self

    @property
    def resolved(self) -> RunConfig:
        """The same, wherever it is read from: what it names on the disk is absolute."""
        warm_start = self.warm_start and self.warm_start.resolve()
        data = self.data.with_paths(Path.resolve)
        return self.model_copy(update={"data": data, "warm_start": warm_start})

    @property
    def inputs(self) -> list[Path]:
        """What is read from the disk."""
        found = [] if self.warm_start is None else [self.warm_start]

        def note(path: Path) -> Path:
            found.append(path)
            return path

        self.data.with_paths(note)
        return found
