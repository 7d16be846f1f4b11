"""The training config: one frozen model per component, the one place where defaults live.

Encoders, decoders, tasks, samplers and aggregators are named by a registered name or by an import
path `package.module:Name`, and take options of their own (`hvdtma.core.registry`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ModelWrapValidatorHandler, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hvdtma.core.config import (
    Component,
    Count,
    NotNegative,
    Positive,
    PositiveFloat,
    Seconds,
    Share,
    load_as,
    parse_as,
)
from hvdtma.core.deprecation import Renamed
from hvdtma.core.errors import MAX_SEED, UserError, nearest
from hvdtma.core.registry import portable_name, resolve

# What a task takes if the config does not say; a class attribute `own_values` has others.
OWN_VALUES: dict[str, Any] = {"sampler": "neighbour", "batch_size": 1024, "lr": 1e-3}
SHARED_NEGATIVES = 512


class ModelConfig(Component):
    """The encoder: from a node's features and neighbourhood to its embedding."""

    encoder: str = "sage"
    """`sage` (GraphSAGE with the mean), `gcn` (the mean includes the node itself), `gat`
    (attention), `mlp` (no neighbours), another registered name, or an import path."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further keyword arguments of the encoder."""
    layers: Positive = 2
    """Message-passing layers; for `mlp`, linear layers."""
    hidden: Positive = 256
    """Width of every layer and of the embedding."""
    fanouts: list[int] | None = None
    """Neighbours sampled per layer, input layer first; -1 takes all. None: 10 for the input
    layer, 25 for the others."""
    heads: Positive = 4
    """Attention heads of `gat`; `hidden` must be a multiple of it."""
    norm: Literal["layer", "batch", "none"] = "layer"
    """Normalisation between layers."""
    activation: Literal["prelu", "relu", "gelu"] = "prelu"
    """Activation between layers."""
    dropout: Share = 0.0
    """Dropout between layers."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.fanouts is not None and len(self.fanouts) != self.layers:
            raise ValueError(
                f"fanouts has {len(self.fanouts)} entries for {self.layers} layers; give one each"
            )
        if any(fanout < -1 or fanout == 0 for fanout in self.fanouts or []):
            raise ValueError(f"fanouts is {self.fanouts}; valid: at least 1, or -1 for all")
        if self.encoder == "gat" and self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}")
        return self

    @property
    def fanout_per_layer(self) -> list[int]:
        return self.fanouts or [10] + [25] * (self.layers - 1)


class SamplerConfig(Component):
    """The sampler: from the seed nodes of a batch to their neighbourhood."""

    name: str = "auto"
    """`auto` (the task's own: `cluster` for links, `neighbour` for nodes), `neighbour` (uniform or
    by edge weight, `model.fanouts` per layer), `labor` (LABOR-0: fewer distinct nodes for the same
    estimate), `cluster` (Cluster-GCN: a batch is some clusters of nodes), another registered name,
    or an import path."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the sampler."""
    workers: Count | None = None
    """Threads of a trainer that make batches ahead, which do not depend on their number. 0: each
    batch is made when it is needed. None: 4 where the trainer has a GPU; 0 on a CPU, whose cores
    are busy with the step."""


class TaskConfig(Component):
    """The task: the loss, the batches, and how held-out links or nodes are scored."""

    name: str = "links"
    """`links` (link prediction), `nodes` (classes, several labels or real targets of nodes,
    whatever the store has), another registered name, or an import path."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the task."""
    decoder: str = "cosine"
    """Links: `cosine` (the cosine of projected embeddings, with a learned scale and biases) tells
    both directions of a link apart in directed stores. `mlp` (an MLP on the elementwise product),
    `dot` (dot product) and `distmult` (one vector per edge type) score them alike; `concat` (an
    MLP on both embeddings side by side) and `bilinear` (one matrix per edge type) do not. Shared
    negatives cost little with all but `mlp` and `concat`. Another registered name, or an import
    path."""
    decoder_options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the decoder."""
    loss: Literal["softmax", "bce", "margin"] = "softmax"
    """Links: sampled `softmax` over a link and its negatives, binary cross-entropy (`bce`), or the
    hinge loss of a link and each of its negatives (`margin`)."""
    margin: PositiveFloat = 1.0
    """Links: the width of the loss `margin`."""
    negatives: Literal["local", "global", "in-batch"] = "local"
    """Links: draw negatives uniformly from the trainer's nodes (`local`) or from all nodes
    (`global`), or use the destinations of the batch's other links (`in-batch`). A link that the
    trainer knows is never a negative. The sampler `cluster` draws `local` ones from its batch."""
    share_negatives: bool | None = None
    """Links: draw one set of negatives for all links of a batch, instead of some for each. None:
    where the decoder scores them by a matrix product."""
    replaced_ends: Literal["both", "destination"] = "both"
    """Links of directed stores: negatives replace the destination or the source of a link, at
    random (`both`), so that scores of different sources can be compared; or the destination only.
    In undirected stores a random end is replaced."""
    popularity_correction: bool = False
    """Links: subtract the logarithm of a node's probability of being drawn, in proportion to its
    degree, from its scores in training (logQ); with `in-batch` negatives and `softmax` only."""
    negative_destinations: Literal["auto", "all"] = "auto"
    """Links: `auto` draws negatives from the nodes that the store has chosen for the edge type,
    such as the items of `user buys item` (`hvdtma build --negative-destinations`); `all` draws
    them from all nodes."""
    num_negatives: Count = 0
    """Links: negatives per positive; with `share_negatives`, the size of the shared set. 0: 1 per
    positive, or 512 that are shared."""
    class_weights: Literal["none", "balanced"] | dict[str, NotNegative] = "none"
    """Nodes: weights of classes in the loss: `none`, `balanced` (training nodes / (classes x nodes
    of the class)), or weights by the class's name; others have 1. With several labels per node, the
    weights of nodes that have the label; `balanced` is (nodes without / nodes with it)."""
    exclude_targets: bool = True
    """Links: keep a batch's links out of message passing."""
    batch_size: Count = 0
    """Links or nodes per step. 0: the task's own: 4096 links, 1024 nodes."""

    @model_validator(mode="after")
    def _correction_fits(self) -> TaskConfig:
        if self.popularity_correction and (self.negatives, self.loss) != ("in-batch", "softmax"):
            raise ValueError(
                f"popularity_correction is for negatives=in-batch with loss=softmax, not for "
                f"negatives={self.negatives} with loss={self.loss}: only in-batch negatives are "
                "drawn by popularity"
            )
        return self

    @field_validator("class_weights", mode="before")
    @classmethod
    def _classes_are_named_by_text(cls, value: Any) -> Any:
        """Names of classes may be numbers in YAML. One error for the field, not one per type."""
        if isinstance(value, Mapping):
            named = {str(name): weight for name, weight in value.items()}
            if all(_is_weight(weight) for weight in named.values()):
                return named
        elif value in ("none", "balanced"):
            return value
        raise PydanticCustomError("class_weights", "no weights of classes")


def _is_weight(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf


class ScheduleConfig(Component):
    """The learning rate during the run."""

    name: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up the learning rate stays, or falls on a line or on half a cosine."""
    unit: Literal["steps", "rounds", "seconds"] = "steps"
    """The unit of `warmup` and `length`; seconds are those of training."""
    warmup: NotNegative = 0.0
    """The learning rate rises from 0 to `optimizer.lr` for so long."""
    length: PositiveFloat | None = None
    """The end of the decay. None: the end of the run, for the units `rounds` (`rounds`) and
    `seconds` (`time_limit_s`)."""
    end: Share = 0.0
    """The share of the learning rate that is left at the end of the decay."""

    @property
    def is_constant(self) -> bool:
        return self.name == "constant" and not self.warmup


class OptimizerConfig(Component):
    """The optimizer of each trainer."""

    name: Literal["adam", "adamw", "sgd", "novograd"] = "adam"
    """PyTorch's Adam, AdamW or SGD, or NovoGrad (arXiv 1905.11286)."""
    lr: NotNegative = 0.0
    """Learning rate. 0: the task's own: 0.003 for links, 0.001 for nodes."""
    weight_decay: NotNegative = 0.0
    """Weight decay, as the optimizer defines it."""
    momentum: Share = 0.0
    """Momentum, for `sgd`."""
    clip_norm: NotNegative = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    schedule: ScheduleConfig = ScheduleConfig()


class AggregateConfig(Component):
    """Aggregation: from the trainers' updates to the next global parameters."""

    name: str = "average"
    """`average` (weighted mean of the updates), another registered name, or an import path."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the aggregator."""
    weights: Literal["edges", "uniform"] = "edges"
    """Weight of a trainer: its number of training edges (or nodes), or the same for all."""
    optimizer_state: Literal["keep", "reset", "average"] = "keep"
    """Treatment of each trainer's optimizer state at an aggregation."""
    outer: str = "none"
    """Outer optimizer, which takes the averaged update for a negative gradient: `none` adds the
    update, `nesterov` is DiLoCo's (arXiv 2311.08105); `sgd`, `adam`, `adamw` and `novograd` too."""
    outer_lr: PositiveFloat = 0.7
    """Learning rate of the outer optimizer."""
    outer_momentum: Share = 0.9
    """Momentum of the outer optimizer, for `nesterov` and `sgd`."""


class EvaluateConfig(Component):
    """Scoring of the aggregated models."""

    mode: Literal["follow", "inline", "final"] = "follow"
    """`follow`: a process of its own scores while the trainers train; `inline`: trainer 0 scores
    between rounds; `final`: only the last round is scored."""
    metric: str | None = None
    """The metric that chooses the best round. None: `mrr` for links; for nodes `accuracy` of
    classes, `micro_f1` of several labels, `r2` of real targets. Others of links: `hits@1`,
    `hits@10`, `hits@50`, `hits@100`, `auc`; of classes: `macro_f1`; of several labels: `macro_f1`,
    `auc`, `average_precision`; of real targets: `rmse`, `mae`, whose lowest value is the best."""
    max_links: Count = 0
    """Validation links scored after a round, a fixed sample; 0 scores all. Test takes all."""
    sample: Count = 0
    """Size of a fixed sample of the held-out links (or nodes) of each part, embedded from sampled
    neighbours; for graphs where embedding every node takes too long. 0 scores all."""
    mean_decay: Share = 0.0
    """Decay per round of an exponential mean of the aggregated parameters. The mean is scored
    beside them; the better one of both is the round's score, and may be the best. 0: none."""
    every: Positive = 1
    """Rounds between two scores."""
    patience: Count = 0
    """Stop after this many scored rounds without a better score; 0 never stops early."""
    keep: Positive = 5
    """Number of rounds whose parameters are kept, in addition to the best one."""
    threads: Positive = 1
    """CPU threads of the evaluator."""


class CheckpointConfig(Component):
    """Checkpoints, from which `hvdtma train --resume RUN` continues."""

    every: Count = 10
    """Rounds between two checkpoints; 0: none. A checkpoint is also written at the end of training
    and when a signal interrupts it."""
    keep: Positive = 2
    """Number of checkpoints that are kept."""


class TrainConfig(Component):
    """A training run."""

    RENAMED: ClassVar = {"redeal_rounds": Renamed("reassign_rounds", removed_in="0.3.0")}

    store: Path
    """The graph store, from `hvdtma build` or `hvdtma partition`."""
    run: Path
    """The folder of the run; it is created."""
    trainers: Positive | None = None
    """Number of trainers; an error if the launcher started another number, unless `elastic`.
    None: as many as the launcher started."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Seed of the assignment of blocks, the initial parameters, batches and sampling."""
    init: Path | None = None
    """Begin with the parameters of another run's best round, or of a pretrained model (a folder of
    `Run.save_pretrained`): fine-tuning, or transfer to a graph with as many features. Parts of the
    head that do not fit, such as those of other classes, start anew, which is printed. None:
    parameters from the seed."""
    freeze: list[str] = Field(default_factory=list)
    """Layers and parameters that keep their initial values, by name or by the beginning of it up
    to a dot, such as `encoder` or `encoder.layers.0`."""
    interval_s: Seconds | None = 120.0
    """Seconds between two aggregations (rho in the paper)."""
    interval_steps: Positive | None = None
    """Steps between two aggregations, which is exactly reproducible; replaces `interval_s`."""
    rounds: Positive | None = None
    """Stop after this many rounds."""
    time_limit_s: Seconds | None = None
    """Stop at the first aggregation after this many seconds of training."""
    first_hop: bool = True
    """The first layer reads the stored mean over all training neighbours instead of neighbours
    sampled in the shard. False is the paper's method."""
    reassign_rounds: Count = 0
    """Rounds between two assignments of the blocks to trainers; 0: one assignment for the run,
    as in the paper."""
    memory_gb: PositiveFloat | None = None
    """Memory limit of a trainer, and of the evaluator, in GiB. A shard that does not fit is
    trained on in resident sets, one after the other. None: the whole shard is read."""
    scratch_dir: Path | None = None
    """Local folder for files that scoring needs under `memory_gb`. None: the system's own."""
    resident_epochs: Positive = 1
    """Epochs on a resident set before the next one."""
    elastic: bool = False
    """Continue when trainers are lost, and accept new ones: under `hvdtma drive`, or horovodrun
    with --host-discovery-script."""
    on_loss: Literal["continue", "reassign"] = "continue"
    """The blocks of a lost trainer wait for its replacement (`continue`, the paper's failure
    study), or all blocks are reassigned to the trainers that are left (`reassign`)."""
    min_trainers: Positive = 1
    """With fewer trainers, training waits for others; then it saves and ends."""
    rejoin_timeout_s: Seconds = 600.0
    """Seconds to wait for `min_trainers`."""
    hang_limit_s: Seconds = 300.0
    """Seconds without a step after which an elastic trainer is ended."""
    threads: Positive | None = None
    """CPU threads per trainer. None: its cores, shared equally among the trainers that may run on
    them; at least 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of training; `auto` takes one GPU per local trainer where there are GPUs."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` is autocast on a GPU. On a CPU with instructions for it, it rounds the factors of
    matrix products to bfloat16, which takes half of the time; parameters stay in float32."""
    log: list[str] = Field(default_factory=lambda: ["tensorboard"])
    """Loggers: `tensorboard` (RUN/tensorboard), `csv` (RUN/log.csv), `wandb` and `mlflow` where
    they are installed, other registered names, or import paths."""
    log_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Keyword arguments of loggers, by the logger's name: `log_options.wandb.project=mine`."""
    profile: Count = 0
    """Steps of the first trainer that the PyTorch profiler records, after the first five, to
    RUN/profile.json; 0: none."""
    model: ModelConfig = ModelConfig()
    task: TaskConfig = TaskConfig()
    sampler: SamplerConfig = SamplerConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    aggregate: AggregateConfig = AggregateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @model_validator(mode="wrap")
    @classmethod
    def _completed(cls, values: Any, check: ModelWrapValidatorHandler[TrainConfig]) -> TrainConfig:
        """Steps replace seconds, and the task's own values those that are not given."""
        config = check(values)
        sampler, task, optimizer = config.sampler, config.task, config.optimizer
        own = OWN_VALUES | getattr(resolve("task", task.name), "own_values", {})
        shared = task.share_negatives
        if shared is None:
            shared = has_factored_decoder(task)
        name = own["sampler"] if sampler.name == "auto" else sampler.name
        complete = {
            "batch_size": task.batch_size or own["batch_size"],
            "num_negatives": task.num_negatives or (SHARED_NEGATIVES if shared else 1),
            "share_negatives": shared,
        }
        changes: dict[str, Any] = {
            "sampler": sampler.model_copy(update={"name": name}),
            "task": task.model_copy(update=complete),
            "optimizer": optimizer.model_copy(update={"lr": optimizer.lr or own["lr"]}),
        }
        if config.interval_steps is not None:
            changes["interval_s"] = None
        return config.model_copy(update=changes)

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.rounds is None and self.time_limit_s is None and not self.evaluate.patience:
            raise ValueError(
                "nothing ends this run; give rounds, time_limit_s or evaluate.patience"
            )
        if self.interval_s is None and self.interval_steps is None:
            raise ValueError("give interval_s or interval_steps")
        if self.evaluate.patience and self.evaluate.mode == "final":
            raise ValueError("evaluate.patience needs evaluate.mode follow or inline")
        schedule = self.optimizer.schedule
        if schedule.name != "constant" and self.schedule_length <= schedule.warmup:
            raise ValueError(
                f"optimizer.schedule.{schedule.name} ends before it begins; give "
                "optimizer.schedule.length, above the warm-up"
            )
        if self.memory_gb is not None and self.evaluate.mode == "inline":
            raise ValueError(
                "evaluate.mode inline scores beside the shard, in the same memory; with memory_gb "
                "use follow or final"
            )
        try:
            self._check_plug_ins()
        except UserError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def schedule_length(self) -> float:
        """The end of the decay of the learning rate; 0 if it does not decay."""
        schedule = self.optimizer.schedule
        at_end = {"steps": None, "rounds": self.rounds, "seconds": self.time_limit_s}
        return schedule.length or at_end[schedule.unit] or 0.0

    def _check_plug_ins(self) -> None:
        """Raises UserError for a plug-in that cannot be had, or does not fit the other keys."""
        encoder = resolve("encoder", self.model.encoder)
        for kind, name in self.plug_ins[1:]:
            resolve(kind, name)
        self._check_loggers()
        if self.first_hop and encoder.first_layer != "mean":
            raise UserError(
                f"first_hop serves encoders whose first layer reads a mean (sage, gcn), not "
                f"{self.model.encoder}; set first_hop=false"
            )
        metric, metrics = self.evaluate.metric, list(resolve("task", self.task.name).metrics)
        if metric is not None and metric not in metrics:
            raise UserError(
                f"evaluate.metric '{metric}' is none of the task '{self.task.name}'; "
                + nearest(metric, metrics)
            )

    def _check_loggers(self) -> None:
        for name in [*self.log, *self.log_options]:  # a config may have options of unused loggers
            resolve("logger", name)
        if twice := [name for name in self.log if self.log.count(name) > 1]:
            raise UserError(f"log has '{twice[0]}' twice")

    @property
    def inputs(self) -> list[Path]:
        """The folders that a new run reads."""
        return [self.store, *([] if self.init is None else [self.init])]

    @property
    def plug_ins(self) -> list[tuple[str, str]]:
        """Kind and name of every plug-in that the config names; the encoder is first."""
        return [
            ("encoder", self.model.encoder),
            ("task", self.task.name),
            ("decoder", self.task.decoder),
            ("aggregator", self.aggregate.name),
            *[("sampler", self.sampler.name)] * (self.sampler.name != "auto"),
        ]

    @property
    def resolved(self) -> TrainConfig:
        """The same config for other processes: absolute paths, import paths for plug-ins.

        Raises UserError for a plug-in that other processes cannot import.
        """
        encoder, task, decoder, aggregator, sampler = (
            portable_name(*plug_in) for plug_in in self.plug_ins
        )
        changes: dict[str, Any] = {
            "store": self.store.resolve(),
            "init": self.init and self.init.resolve(),
            "scratch_dir": self.scratch_dir and self.scratch_dir.resolve(),
            "model": self.model.model_copy(update={"encoder": encoder}),
            "task": self.task.model_copy(update={"name": task, "decoder": decoder}),
            "sampler": self.sampler.model_copy(update={"name": sampler}),
            "aggregate": self.aggregate.model_copy(update={"name": aggregator}),
            "log": [portable_name("logger", name) for name in self.log],
            "log_options": {
                portable_name("logger", name): given for name, given in self.log_options.items()
            },
        }
        return self.model_copy(update=changes)


def has_factored_decoder(task: TaskConfig) -> bool:
    """Whether the decoder's score of a link is a product of a vector of each end."""
    return bool(getattr(resolve("decoder", task.decoder), "factored", False))


def load_train_config(
    path: str | Path | None, overrides: Sequence[str] | Mapping[str, Any] | None = None
) -> TrainConfig:
    """A config from a YAML file, or the defaults, and overrides; see `load_as`.

    Raises UserError for an unreadable file, an unknown key (valid ones listed, the nearest
    suggested), a wrong type or an impossible value.
    """
    return load_as(TrainConfig, path, overrides)


def parse_config(values: dict, *, source: str = "config") -> TrainConfig:
    """A config from plain nested values; raises UserError as `load_train_config` does."""
    return parse_as(TrainConfig, values, source=source)
