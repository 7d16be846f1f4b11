"""The plan of a run: the expected cost of each stage, before the first one begins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.store import open_store
from hvdtma.partitioning.assignment import check_trainers
from hvdtma.plan.averaging import AveragingPlan, Network, averaging_plan
from hvdtma.plan.disk import bytes_on_disk
from hvdtma.plan.graph import PlannedGraph
from hvdtma.plan.rates import Rates, measure_rates
from hvdtma.plan.stages import (
    AssignmentPlan,
    PlannedStage,
    assignment_plan,
    build_stage,
    partition_stage,
    scoring_stages,
    train_stage,
)


@dataclass(frozen=True)
class Plan:
    """The expected cost of a run.

    Attributes:
        store_exists: whether sizes are those of an existing store.
        rates: None if they were not measured.
    """

    num_nodes: int
    num_edges: int
    feature_dim: int
    feature_dtype: str
    undirected: bool
    store: str
    store_exists: bool
    stages: list[PlannedStage]
    assignment: AssignmentPlan
    averaging: AveragingPlan
    rates: Rates | None

    def stage(self, name: str) -> PlannedStage:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = asdict(self)
        plain["averaging"] |= {
            "lost_s": self.averaging.lost_s,
            "lost_share": self.averaging.lost_share,
        }
        return plain


def plan(
    config: TrainConfig,
    *,
    trainers: int | None = None,
    graph: PlannedGraph | None = None,
    latency_us: float | None = None,
    bandwidth_gbps: float | None = None,
    quick: bool = False,
) -> Plan:
    """The expected cost of building, training and scoring.

    Args:
        trainers: M (None: the config's, or 1).
        graph: a graph to be built; ignored if the config's store exists.
        bandwidth_gbps: between trainers, in Gbit/s; None: unknown, and the time of an aggregation
            is not predicted.
        latency_us: between trainers, in microseconds (None: `DEFAULT_LATENCY_US`).
        quick: measure no rates; then no times are predicted, as for typed graphs.

    Raises UserError if there is neither a store nor a graph, for more trainers than blocks, and
    for limits that are too small.
    """
    trainers = trainers or config.trainers or 1
    network = Network.of(bandwidth_gbps, latency_us)
    exists = config.store.exists()
    sizes = _sizes(config, graph)
    check_trainers(trainers, sizes.num_units, whole_parts=sizes.num_units != sizes.num_blocks)
    assignment = assignment_plan(config, sizes, trainers)
    disk_bytes = bytes_on_disk(sizes)
    measured = not quick and sizes.schema is None  # the probe is a graph without node types
    rates = None if not measured else measure_rates(config, sizes, _existing_parent(config.store))
    return Plan(
        sizes.num_nodes,
        sizes.num_edges,
        sizes.feature_dim,
        str(sizes.feature_dtype),
        sizes.undirected,
        str(config.store),
        exists,
        [
            build_stage(None if exists else graph, sizes, disk_bytes, rates),
            partition_stage(sizes, disk_bytes),
            train_stage(config, sizes, assignment, rates),
            *scoring_stages(config, sizes, rates),
        ],
        assignment,
        averaging_plan(config, sizes, trainers, network, rates.examples if rates else None),
        rates,
    )


def _sizes(config: TrainConfig, graph: PlannedGraph | None) -> GraphSizes:
    """The sizes of the config's store if it exists, else of the graph to be built."""
    if config.store.exists():
        return GraphSizes.of(open_store(config.store))
    if graph is None:
        raise UserError(
            f"there is no store at {config.store}; give the sizes of the graph to be built: "
            "--nodes N --edges E --features D"
        )
    return graph.sizes(config)


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())
