"""The training config: one frozen model per component, the one place where defaults live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, model_validator

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
from hvdtma.core.errors import MAX_SEED, nearest


class ModelConfig(Component):
    """The encoder that turns a node and its neighbourhood into an embedding."""

    encoder: Literal["sage", "gcn", "gat", "mlp"] = "sage"
    """GraphSAGE (mean), GCN (mean with self, the inductive form), GAT, or no neighbours at all."""
    layers: Positive = 2
    """Message-passing layers; for `mlp`, linear ones."""
    hidden: Positive = 256
    """Width of every layer, and so of the embedding."""
    fanouts: list[int] | None = None
    """Neighbours sampled per layer, input layer first; -1 is all. None: 10 for the input layer,
    25 for the others."""
    heads: Positive = 4
    """Attention heads of `gat`; `hidden` must be a multiple."""
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


class TaskConfig(Component):
    """What is learnt: links, or the classes of nodes."""

    name: Literal["links", "nodes"] = "links"
    """Link prediction, or node classification."""
    decoder: Literal["mlp", "dot", "distmult"] = "mlp"
    """Links: MLP on the elementwise product, dot product, or DistMult (one vector per type)."""
    negatives: Literal["local", "global", "joint", "in-batch"] = "local"
    """Links: uniform over the trainer's nodes, over all nodes, one set shared by the batch, or
    the destinations of the batch's other links. Never a link the trainer knows."""
    num_negatives: Positive = 1
    """Links: negatives per positive (for `joint`, in the shared set)."""
    exclude_targets: bool = True
    """Links: keep a batch's links out of their own message passing."""
    batch_size: Positive = 1024
    """Links or nodes per step."""


class OptimizerConfig(Component):
    """Each trainer's own optimiser."""

    name: Literal["adam", "adamw", "sgd", "novograd"] = "adam"
    lr: PositiveFloat = 1e-3
    weight_decay: NotNegative = 0.0
    momentum: Share = 0.0
    """For `sgd`."""
    clip_norm: NotNegative = 1.0
    """Largest norm of the gradient; 0 does not clip."""


class AggregateConfig(Component):
    """How the trainers' updates become the next global parameters."""

    weights: Literal["edges", "uniform"] = "edges"
    """Weigh a trainer by the number of its training edges (or nodes), or all alike."""
    optimizer_state: Literal["keep", "reset", "average"] = "keep"
    """What happens to each trainer's optimiser state at an aggregation."""
    outer: Literal["average", "nesterov"] = "average"
    """Plain averaging, or Nesterov SGD on the averaged update (DiLoCo, arXiv 2311.08105)."""
    outer_lr: PositiveFloat = 0.7
    outer_momentum: Share = 0.9


class EvaluateConfig(Component):
    """How aggregated models are scored."""

    mode: Literal["follow", "inline", "final"] = "follow"
    """A process of its own beside the trainers; trainer 0 between rounds; or only at the end."""
    metric: str | None = None
    """What chooses the best round. None: `mrr` for links, `accuracy` for nodes."""
    max_links: Count = 0
    """Validation links scored after a round, a fixed sample; 0 scores all. Test takes all."""
    sample: Count = 0
    """Score only so many held-out links (or nodes) of each part, a fixed sample, embedded from
    sampled neighbours: for graphs of which embedding every node takes too long. 0 embeds all."""
    every: Positive = 1
    """Score every so many rounds."""
    patience: Count = 0
    """Stop early after so many scored rounds without a better one; 0 never."""
    keep: Positive = 5
    """Rounds whose parameters are kept, beside the best one."""
    threads: Positive = 1
    """CPU threads of the evaluator."""


class CheckpointConfig(Component):
    """What a run that is cut short goes on from: `hvdtma train --resume RUN`."""

    every: Count = 10
    """Write one every so many rounds; 0: none. One is written at the end of training, and when it
    is interrupted by a signal, too."""
    keep: Positive = 2
    """Checkpoints that are kept."""


class TrainConfig(Component):
    """One training run."""

    store: Path
    """The graph store, from `hvdtma build` or `hvdtma partition`."""
    run: Path
    """The folder of the run; made new."""
    trainers: Positive | None = None
    """How many trainers are wanted; an error if the launcher started another number, unless
    elastic. None: as many as it started."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Of the assignment, the initial parameters, batches and sampling."""
    interval_s: Seconds | None = 120.0
    """Seconds between two aggregations (the paper's rho)."""
    interval_steps: Positive | None = None
    """Steps between two aggregations; exactly reproducible. Where given, `interval_s` is not
    used."""
    rounds: Positive | None = None
    """Stop after so many rounds."""
    time_limit_s: Seconds | None = None
    """Stop at the first aggregation after so many seconds of training."""
    first_hop: bool = True
    """The first layer reads the stored mean over all training neighbours instead of sampling
    them inside the shard. Off is the paper's method."""
    reassign_rounds: Count = 0
    """Assignment the blocks anew every so many rounds; 0 never, as in the paper."""
    memory_gb: PositiveFloat | None = None
    """GiB that a trainer, and the evaluator, may hold in memory. A shard that does not fit is
    trained on one resident set of its blocks after the other. None: the whole shard is read."""
    scratch_dir: Path | None = None
    """A local folder for what scoring cannot hold in memory. None: the system's own."""
    resident_epochs: Positive = 1
    """Times that the links (or nodes) of a resident set are trained on before the next set."""
    elastic: bool = False
    """Go on without trainers that are lost, and with new ones: under `hvdtma drive`, or horovodrun
    with --host-discovery-script."""
    on_loss: Literal["continue", "reassign"] = "continue"
    """What is done with the blocks of a lost trainer: nothing, until another takes its place (the
    paper's failure study); or all blocks are assigned among those who are left."""
    min_trainers: Positive = 1
    """Fewer do not train; they wait for others, and then save and end."""
    rejoin_timeout_s: Seconds = 600.0
    """How long they wait."""
    hang_limit_s: Seconds = 300.0
    """A trainer that takes no step for so long, and does not say why, is ended."""
    threads: Positive | None = None
    """CPU threads per trainer. None: the cores it may run on, shared out among the trainers that
    may run there, at least 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU per local trainer where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is autocast, on a GPU."""
    model: ModelConfig = ModelConfig()
    task: TaskConfig = TaskConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    aggregate: AggregateConfig = AggregateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @model_validator(mode="wrap")
    @classmethod
    def _steps_win(cls, values: Any, check: ModelWrapValidatorHandler[TrainConfig]) -> TrainConfig:
        config = check(values)
        steps = config.interval_steps is not None
        return config.model_copy(update={"interval_s": None}) if steps else config

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
        if self.memory_gb is not None and self.evaluate.mode == "inline":
            raise ValueError(
                "evaluate.mode inline scores beside the shard, in the same memory; with memory_gb "
                "use follow or final"
            )
        if self.first_hop and self.model.encoder not in ("sage", "gcn"):
            raise ValueError(
                f"first_hop serves the encoders sage and gcn, not {self.model.encoder}; "
                "set first_hop=false"
            )
        if self.metric not in METRICS[self.task.name]:
            raise ValueError(
                f"evaluate.metric '{self.metric}' is none of the task '{self.task.name}'; "
                + nearest(self.metric, METRICS[self.task.name])
            )
        return self

    @property
    def resolved(self) -> TrainConfig:
        """The same, wherever it is read from: paths to what is outside the run are absolute."""
        scratch_dir = self.scratch_dir and self.scratch_dir.resolve()
        return self.model_copy(update={"store": self.store.resolve(), "scratch_dir": scratch_dir})

    @property
    def metric(self) -> str:
        """The metric that chooses the best round."""
        return self.evaluate.metric or METRICS[self.task.name][0]


METRICS = {
    "links": ["mrr", "hits@1", "hits@10", "hits@50", "hits@100", "auc"],
    "nodes": ["accuracy", "macro_f1"],
}


def load_config(path: str | Path, overrides: list[str] | None = None) -> TrainConfig:
    """A config from a YAML file and `key=value` overrides (`model.hidden=128`).

    Raises UserError for an unreadable file, an unknown key (valid ones listed, the nearest
    suggested), a wrong type or an impossible value.
    """
    return load_as(TrainConfig, path, overrides)


def parse_config(values: dict, *, source: str = "config") -> TrainConfig:
    """A config from plain nested values; raises UserError as `load_config` does."""
    return parse_as(TrainConfig, values, source=source)
