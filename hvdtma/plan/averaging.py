"""The cost of an aggregation: a ring all-reduce in the latency-bandwidth model, and copies.

A ring all-reduce of n bytes among M trainers is a reduce-scatter and an all-gather of M - 1 steps
each: 2 (M - 1) consecutive messages with 2 (M - 1) / M * n bytes in total (Thakur, Rabenseifner
and Gropp, 2005; Patarasuk and Yuan, 2009, show that no all-reduce sends less).

Legend: M trainers, P values in the flat vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from hvdtma.aggregate.aggregator import RoundState
from hvdtma.aggregate.flat import FlatModel
from hvdtma.aggregate.optimizer_state import STATE_VALUES
from hvdtma.comm import SingleProcess
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphSizes
from hvdtma.tasks import make_model, make_task, model_without_memory
from hvdtma.training.set_up import make_aggregator

# Passes over the flat vector per aggregation (`TimedAveraging`): read, subtract, weigh, join, copy
# into and out of the buffer of the all-reduce, check, add, write, read again, check.
FLAT_PASSES = 11
DEFAULT_LATENCY_US = 50.0  # TCP between machines of one data centre
COPY_BYTES_PER_S = 10e9  # of a pass by one core, about


@dataclass(frozen=True)
class Network:
    """The network between trainers; raises UserError for values out of range.

    Attributes:
        latency_s: per message.
        bytes_per_s: bandwidth of a link.
    """

    latency_s: float
    bytes_per_s: float

    def __post_init__(self) -> None:
        if not 0 < self.bytes_per_s < math.inf:
            gbps = self.bytes_per_s * 8 / 1e9
            raise UserError(f"--bandwidth-gbps is {gbps:g}; it must be above 0")
        if not 0 <= self.latency_s < math.inf:
            raise UserError(f"--latency-us is {self.latency_s * 1e6:g}; it must be 0 or more")

    @classmethod
    def of(cls, bandwidth_gbps: float | None, latency_us: float | None = None) -> Network | None:
        """A network of a bandwidth in Gbit/s and a latency in microseconds; None if unknown."""
        if bandwidth_gbps is not None:
            latency_us = DEFAULT_LATENCY_US if latency_us is None else latency_us
            return cls(latency_us * 1e-6, bandwidth_gbps * 1e9 / 8)
        if latency_us is not None:
            raise UserError("--latency-us is given without --bandwidth-gbps; give both")
        return None


@dataclass(frozen=True)
class AveragingPlan:
    """The cost of averaging.

    Attributes:
        num_parameters: of the model.
        num_bytes: summed over trainers in each round; 0 for one trainer.
        network: None if it is unknown.
        allreduce_s: per round; None without a network.
        copy_s: the time of passes over the flat vector within a trainer, per round.
        interval_s: between two aggregations; None if steps are counted at an unknown rate.
    """

    num_parameters: int
    num_bytes: int
    network: Network | None
    allreduce_s: float | None
    copy_s: float
    interval_s: float | None

    @property
    def lost_s(self) -> float | None:
        """The time without training per round; None without a network."""
        return None if self.allreduce_s is None else self.allreduce_s + self.copy_s

    @property
    def lost_share(self) -> float | None:
        """`lost_s` as a share of the interval."""
        if self.lost_s is None or self.interval_s is None:
            return None
        return self.lost_s / self.interval_s


def averaging_plan(
    config: TrainConfig,
    sizes: GraphSizes,
    trainers: int,
    network: Network | None,
    examples_per_s: float | None = None,
) -> AveragingPlan:
    """The cost of averaging among M trainers; one trainer averages nothing.

    Args:
        network: between the trainers; None if it is unknown.
        examples_per_s: the rate of a trainer, which `interval_steps` needs; None if it is unknown.
    """
    task = make_task(config, sizes)
    model = model_without_memory(config, sizes, task) or make_model(config, sizes, task)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    interval_s = config.interval_s
    if config.interval_steps is not None and examples_per_s:
        interval_s = config.interval_steps * config.task.batch_size / examples_per_s
    num_bytes = 0 if trainers == 1 else summed_bytes(config, model, trainers)
    return AveragingPlan(
        num_parameters,
        num_bytes,
        network,
        None if network is None else allreduce_seconds(trainers, num_bytes, network),
        FLAT_PASSES * num_bytes / COPY_BYTES_PER_S,
        interval_s,
    )


def summed_bytes(config: TrainConfig, model: torch.nn.Module, trainers: int) -> int:
    """The size of a trainer's contribution to the all-reduce: its aggregator's, and its state's."""
    flat, aggregator = FlatModel(model), make_aggregator(config)
    state = RoundState(1, 0, trainers, flat.layout, flat.num_parameters, SingleProcess())
    aggregator.begin_round(model, state)
    contribution = aggregator.contribute(torch.zeros_like(flat.read()), 1.0, state)
    values = sum(part.numel() for part in contribution)
    if config.aggregate.optimizer_state == "average":
        values += STATE_VALUES[config.optimizer.name] * flat.num_parameters
    return 4 * values


def allreduce_seconds(trainers: int, num_bytes: float, network: Network) -> float:
    """The time of the all-reduce, and of the small all-gather of weights before it."""
    steps = 2 * (trainers - 1)
    sent_s = steps / trainers * num_bytes / network.bytes_per_s
    return sent_s + (steps + trainers - 1) * network.latency_s
