"""The plan of a run: what each stage will take, before it begins.

Legend: N nodes, E edges, M trainers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from hvdtma.core.errors import UserError
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import ScoringBudget, embedding_needs, scratch_bytes
from hvdtma.evaluation.scratch import scoring_scratch
from hvdtma.graph.builder.disk import array_bytes, build_scratch_bytes
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.store import open_store
from hvdtma.partitioning.assignment import check_trainers
from hvdtma.plan import memory
from hvdtma.plan.aggregation import Aggregating, Network, aggregating
from hvdtma.plan.base import RECORDED, Base, measure_base
from hvdtma.plan.disk import bytes_on_disk
from hvdtma.plan.graph import PlannedGraph
from hvdtma.plan.probes import Rates, measure_rates
from hvdtma.tasks import make_task


@dataclass(frozen=True)
class Stage:
    """One command of the way; each process of it has `peak_bytes` of memory at its peak.

    Attributes:
        peak_bytes: expected; no more than the limit where there is one.
        limit_bytes: that it was given to keep.
        disk_bytes: what stays on disk; scratch_bytes: what is there on top meanwhile.
        read_bytes: of the store, by one process (a trainer: its shard, once).
        time_s: None where rates were not measured, or it is not a matter of the graph.
        done: the stage's result is there already.
        note: what the numbers are of.
    """

    name: str
    peak_bytes: int
    limit_bytes: int | None = None
    disk_bytes: int = 0
    scratch_bytes: int = 0
    read_bytes: int = 0
    time_s: float | None = None
    done: bool = False
    note: str = ""


@dataclass(frozen=True)
class AssignmentPlan:
    """What an assignment gives each trainer, expected.

    Attributes:
        shard_nodes, shard_edges: of one shard.
        share_of_shard: its edges, as a share of all; share_kept: what all shards keep together.
        sets: resident sets that a shard is cut into under `memory_gb`.
        share_resident: of a shard's edges, those that one set has.
    """

    trainers: int
    shard_nodes: int
    shard_edges: int
    share_of_shard: float
    share_kept: float
    sets: int
    share_resident: float


@dataclass(frozen=True)
class Plan:
    """All of it; `as_dict` for JSON."""

    num_nodes: int
    num_edges: int
    feature_dim: int
    feature_dtype: str
    undirected: bool
    store: str
    store_exists: bool
    stages: list[Stage]
    assignment: AssignmentPlan
    aggregation: Aggregating
    base: Base
    rates: Rates | None

    def stage(self, name: str) -> Stage:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def as_dict(self) -> dict:
        """Plain values; what is derived, too."""
        lost = {"lost_s": self.aggregation.lost_s, "lost_share": self.aggregation.lost_share}
        plain = asdict(self)
        plain["aggregation"] |= lost
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
    """What building, training and scoring will take.

    Args:
        trainers: M (None: the config's, or 1).
        graph: of a store that is to be built; not used where the config's store is there.
        latency_us, bandwidth_gbps: between trainers (None: measured on localhost).
        quick: nothing is measured but the network and copies; no times.

    Raises UserError where there is neither a store nor sizes, for more trainers than blocks, and
    for limits that are too small.
    """
    number = trainers or config.trainers or 1
    sizes, built = sizes_for(config, graph)
    check_trainers(number, sizes.num_units, whole_parts=sizes.num_units != sizes.num_blocks)
    network = Network.of(latency_us, bandwidth_gbps)
    base = RECORDED if quick else measure_base()
    folder = next(parent for parent in config.store.absolute().parents if parent.exists())
    rates = None if quick else measure_rates(config, sizes, folder)
    disk = bytes_on_disk(sizes)
    assigned = assignment_plan(config, sizes, number)
    stages = [
        build_stage(None if built else graph, sizes, disk, base, rates),
        Stage(
            "partition",
            base.build + memory.partition_bytes(sizes),
            disk_bytes=disk,
            read_bytes=disk,
            note="only for another order than random; without METIS' own memory and time",
        ),
        train_stage(config, sizes, assigned, base, rates),
        *scoring_stages(config, sizes, disk, base, rates),
    ]
    averaging = aggregating(config, sizes, number, network, rates.positives if rates else None)
    return Plan(
        sizes.num_nodes,
        sizes.num_edges,
        sizes.feature_dim,
        str(sizes.feature_dtype),
        sizes.undirected,
        str(config.store),
        built,
        stages,
        assigned,
        averaging,
        base,
        rates,
    )


def sizes_for(config: TrainConfig, graph: PlannedGraph | None) -> tuple[GraphSizes, bool]:
    """(of the store if it is there, else of the graph to come; whether it is there)."""
    if config.store.exists():
        return GraphSizes.of(open_store(config.store)), True
    if graph is None:
        raise UserError(
            f"there is no store at {config.store} yet; say how large it will be: "
            "--nodes N --edges E --features D"
        )
    return graph.sizes(config), False


def assignment_plan(config: TrainConfig, sizes: GraphSizes, trainers: int) -> AssignmentPlan:
    """What one of M trainers gets, and how much of it is in memory at once."""
    share = 1 / trainers
    edges = memory.footprint_edges(sizes, sizes.num_nodes * share)
    sets = memory.sets_of(config, sizes, trainers)
    of_set = memory.footprint_edges(sizes, sizes.num_nodes * share / sets)
    of_all = edges / max(sizes.num_edges, 1)
    return AssignmentPlan(
        trainers=trainers,
        shard_nodes=round(sizes.num_nodes * share),
        shard_edges=round(edges),
        share_of_shard=of_all,
        share_kept=min(trainers * of_all, 1.0),
        sets=sets,
        share_resident=of_set / edges if edges else 1.0,
    )


def build_stage(
    graph: PlannedGraph | None, sizes: GraphSizes, disk: int, base: Base, rates: Rates | None
) -> Stage:
    """Of `hvdtma build`; done if there is no graph to build."""
    if graph is None:
        return Stage("build", 0, disk_bytes=disk, done=True, note="the store is there")
    within = MemoryBudget.limit(graph.memory_gb)
    limit = within.num_bytes
    first_hop = sizes.num_edges * sizes.feature_dim * ("first_hop" in sizes)
    time_s = None
    if rates:
        time_s = (
            graph.num_keys / rates.sorted_edges
            + first_hop / rates.first_hop_values
            + disk / rates.written_bytes
        )
    return Stage(
        "build",
        min(base.build + memory.build_bytes(graph, sizes), limit),
        None if graph.memory_gb is None else limit,
        disk,
        build_scratch_bytes(graph.build_sizes, within),
        time_s=time_s,
        note="without reading (or making) the source, and without repeated edges",
    )


def train_stage(
    config: TrainConfig,
    sizes: GraphSizes,
    assigned: AssignmentPlan,
    base: Base,
    rates: Rates | None,
) -> Stage:
    """Of one trainer of `hvdtma train`; a pass over its shard's links or nodes."""
    trainers = assigned.trainers
    limit = None if config.memory_gb is None else int(config.memory_gb * 2**30)
    needed = base.train + memory.train_bytes(config, sizes, trainers)
    nodes = sizes.num_nodes / trainers
    read = _read_bytes(sizes, nodes, sizes.num_edges / trainers, first_hop=config.first_hop)
    examples = assigned.shard_edges / (1 + sizes.undirected)
    if make_task(config, sizes).needs_labels:
        examples = nodes
    if assigned.sets > 1:  # in one sweep only links within a set are met
        examples *= assigned.sets * assigned.share_resident
    time_s = None
    if rates:
        time_s = read / rates.read_bytes + examples / rates.positives
    return Stage(
        "train",
        needed if limit is None else min(needed, limit),
        limit,
        read_bytes=read,
        time_s=time_s,
        note="one trainer: reading its shard and one pass over it, on cores of its own; "
        "at the end trainer 0 lets go of it and scores the test part: see evaluate",
    )


def scoring_stages(
    config: TrainConfig, sizes: GraphSizes, disk: int, base: Base, rates: Rates | None
) -> list[Stage]:
    """Of `hvdtma evaluate` (or one scored round of the evaluator) and `hvdtma embed`."""
    limit = None if config.memory_gb is None else int(config.memory_gb * 2**30)
    room = ScoringBudget.of(config, embedding_needs(config, sizes))
    layer = 4 * sizes.num_nodes * config.model.hidden
    read = _read_bytes(sizes, sizes.num_nodes, sizes.num_edges, first_hop=config.first_hop)
    needed = {
        "evaluate": base.evaluate + memory.evaluate_bytes(config, sizes),
        "embed": base.evaluate + memory.embedding_bytes(config, sizes, room),
    }
    peaks = {name: peak if limit is None else min(peak, limit) for name, peak in needed.items()}
    times: dict[str, float | None] = {"evaluate": None, "embed": None}
    if rates:
        embed_s = sizes.num_nodes / rates.embedded_nodes + read / rates.read_bytes
        pairs = max((n * (1 + each) for n, each in sizes.held_out.values()), default=0)
        times["embed"] = embed_s + (layer + 8 * sizes.num_nodes) / rates.written_bytes
        if not config.evaluate.sample:
            times["evaluate"] = embed_s + pairs / rates.scored_pairs
    scratch_of = {
        "evaluate": scoring_scratch(config, sizes),
        "embed": scratch_bytes(config, sizes, room),
    }
    notes = {
        "evaluate": "the evaluator: one part, all its links",
        "embed": "embeddings of all nodes to a file, counted before it is compressed",
    }
    return [
        Stage(
            name,
            peaks[name],
            limit,
            layer if name == "embed" else 0,
            scratch_of[name],
            read,
            times[name],
            note=notes[name],
        )
        for name in ("evaluate", "embed")
    ]


def _read_bytes(sizes: GraphSizes, nodes: float, edges: float, *, first_hop: bool) -> int:
    """Bytes of rows, edges into them, features and first hop that are read of some nodes."""
    arrays = array_bytes(
        num_nodes=round(nodes),
        num_edges=round(edges),
        feature_dim=sizes.feature_dim,
        feature_bytes=sizes.feature_dtype.itemsize,
        first_hop=first_hop,
        typed=bool(sizes.edge_type_names),
        labelled="label" in sizes,
        held_out={},
    )
    return sum(size for name, size in arrays.items() if name != "node_id")


def sized(
    *, nodes: int | None, edges: int | None, features: int | None, store: Path, **others: object
) -> PlannedGraph | None:
    """A graph of options that may be missing; None without any. Raises UserError for some."""
    given = {"--nodes": nodes, "--edges": edges, "--features": features}
    if store.exists() or all(value is None for value in given.values()):
        return None
    if nodes is None or edges is None or features is None:
        missing = ", ".join(name for name, value in given.items() if value is None)
        raise UserError(f"{store} is not there yet, and its sizes are not all given: {missing}")
    return PlannedGraph(nodes, edges, features, **others)  # type: ignore[arg-type]
