"""The stages of a run, one per command, and the expected cost of each.

Legend: N nodes, E edges, M trainers.
"""

from __future__ import annotations

from dataclasses import dataclass

from hvdtma.core.memory import MemoryBudget
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import ScoringBudget, embedding_requirement, scratch_bytes
from hvdtma.evaluation.scratch import scoring_scratch
from hvdtma.graph.builder.disk import array_bytes, build_scratch_bytes
from hvdtma.graph.sizes import GraphSizes
from hvdtma.plan import memory
from hvdtma.plan.graph import PlannedGraph
from hvdtma.plan.rates import Rates
from hvdtma.sampling.budget import expected_edges
from hvdtma.sampling.resident import ShardSize
from hvdtma.tasks import make_task


@dataclass(frozen=True)
class PlannedStage:
    """The expected cost of one command.

    Attributes:
        peak_bytes: memory of each process at its peak; at most the limit.
        limit_bytes: the memory limit; None: there is none.
        disk_bytes: files that remain. scratch_bytes: temporary files besides.
        read_bytes: read from the store by one process (by a trainer: its shard, once).
        time_s: None if rates were not measured, or do not determine it.
        done: whether the result of the stage exists already.
        note: what the numbers include.
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
    """The expected shards of an assignment.

    Attributes:
        shard_nodes, shard_edges: of one shard.
        share_of_shard: edges of a shard, as a share of all edges.
        share_kept: edges of all shards together, as a share of all edges.
        sets: resident sets per shard under `memory_gb`.
        share_resident: edges of a resident set, as a share of the shard's edges.
    """

    trainers: int
    shard_nodes: int
    shard_edges: int
    share_of_shard: float
    share_kept: float
    sets: int
    share_resident: float


def assignment_plan(config: TrainConfig, sizes: GraphSizes, trainers: int) -> AssignmentPlan:
    """The expected shards of M trainers, and the resident sets of a shard."""
    nodes = sizes.num_nodes / trainers
    edges = expected_edges(sizes, nodes)
    sets = memory.expected_sets(config, sizes, trainers)
    share = edges / max(sizes.num_edges, 1)
    return AssignmentPlan(
        trainers=trainers,
        shard_nodes=round(nodes),
        shard_edges=round(edges),
        share_of_shard=share,
        share_kept=min(trainers * share, 1.0),
        sets=sets,
        share_resident=expected_edges(sizes, nodes / sets) / edges if edges else 1.0,
    )


def build_stage(
    graph: PlannedGraph | None, sizes: GraphSizes, disk_bytes: int, rates: Rates | None
) -> PlannedStage:
    """`hvdtma build`; done if there is no graph to build."""
    if graph is None:
        return PlannedStage(
            "build", 0, disk_bytes=disk_bytes, done=True, note="the store exists already"
        )
    limit = MemoryBudget.limit(graph.memory_gb)
    needed = memory.BUILD_PROCESS_BYTES + memory.build_bytes(graph, sizes)
    time_s = None
    if rates:
        first_hop = sizes.num_edges * sizes.feature_dim * ("first_hop" in sizes)
        time_s = graph.build_sizes.num_keys / rates.sorted_edges
        time_s += first_hop / rates.first_hop_values + disk_bytes / rates.written_bytes
    return PlannedStage(
        "build",
        min(needed, limit.num_bytes),
        None if graph.memory_gb is None else limit.num_bytes,
        disk_bytes,
        build_scratch_bytes(graph.build_sizes, limit),
        time_s=time_s,
        note="without reading or generating the source; repeated edges are not merged",
    )


def partition_stage(sizes: GraphSizes, disk_bytes: int) -> PlannedStage:
    """`hvdtma partition`."""
    return PlannedStage(
        "partition",
        memory.BUILD_PROCESS_BYTES + memory.partition_bytes(sizes),
        disk_bytes=disk_bytes,
        read_bytes=disk_bytes,
        note="needed only for an order other than random; without the memory and time of METIS",
    )


def train_stage(
    config: TrainConfig, sizes: GraphSizes, assignment: AssignmentPlan, rates: Rates | None
) -> PlannedStage:
    """One trainer of `hvdtma train`: reading its shard, and one pass over it."""
    trainers, sets = assignment.trainers, assignment.sets
    limit = _limit_bytes(config)
    needed = memory.TRAIN_PROCESS_BYTES + memory.train_bytes(config, sizes, trainers)
    nodes = sizes.num_nodes / trainers
    read = _read_bytes(sizes, nodes, sizes.num_edges / trainers, first_hop=config.first_hop)
    # A pass over resident sets meets only the edges within each set.
    edges = round(assignment.shard_edges * assignment.share_resident * sets)
    examples = make_task(config, sizes).num_examples(ShardSize(round(nodes), edges, round(nodes)))
    return PlannedStage(
        "train",
        needed if limit is None else min(needed, limit),
        limit,
        read_bytes=read,
        time_s=examples / rates.examples if rates else None,
        note="one trainer, one pass over its shard, on cores of its own; at the end trainer 0 "
        "frees its shard and scores the test part (see evaluate)",
    )


def scoring_stages(
    config: TrainConfig, sizes: GraphSizes, rates: Rates | None
) -> list[PlannedStage]:
    """`hvdtma evaluate`, or a round of the evaluator; and `hvdtma embed`."""
    limit = _limit_bytes(config)
    budget = ScoringBudget.of(config, embedding_requirement(config, sizes))
    read = _read_bytes(sizes, sizes.num_nodes, sizes.num_edges, first_hop=config.first_hop)
    written = sizes.num_nodes * (4 * config.model.hidden + 8)
    evaluate_s = embed_s = None
    if rates:
        nodes_s = sizes.num_nodes / rates.embedded_nodes
        embed_s = nodes_s + written / rates.written_bytes
        pairs = max((n * (1 + negatives) for n, negatives in sizes.held_out.values()), default=0)
        evaluate_s = None if config.evaluate.sample else nodes_s + pairs / rates.scored_pairs

    def peak(num_bytes: int) -> int:
        needed = memory.SCORE_PROCESS_BYTES + num_bytes
        return needed if limit is None else min(needed, limit)

    return [
        PlannedStage(
            "evaluate",
            peak(memory.scoring_bytes(config, sizes)),
            limit,
            scratch_bytes=scoring_scratch(config, sizes),
            read_bytes=read,
            time_s=evaluate_s,
            note="scoring one part of the split, all of its links",
        ),
        PlannedStage(
            "embed",
            peak(memory.embedding_bytes(config, sizes, budget)),
            limit,
            written,
            scratch_bytes(config, sizes, budget),
            read,
            embed_s,
            note="embeddings of all nodes in a file; its size before compression",
        ),
    ]


def _limit_bytes(config: TrainConfig) -> int | None:
    return None if config.memory_gb is None else MemoryBudget.limit(config.memory_gb).num_bytes


def _read_bytes(sizes: GraphSizes, nodes: float, edges: float, *, first_hop: bool) -> int:
    """The size of the arrays of so many nodes and edges, without ids."""
    arrays = array_bytes(
        num_nodes=round(nodes),
        num_edges=round(edges),
        feature_dim=sizes.feature_dim,
        feature_bytes=sizes.feature_dtype.itemsize,
        hop_dim=sizes.hop_dim,
        first_hop=first_hop,
        typed=bool(sizes.edge_type_names),
        label_row_bytes=sizes.label_row_bytes,
        held_out={},
        candidate_bytes=sizes.candidate_rules.row_bytes,
    )
    return sum(size for name, size in arrays.items() if name != "node_id")
