"""The memory and the scratch space of scoring and embedding.

Legend: N nodes, D features, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from hvdtma.core.memory import BASE_BYTES, LEAST_WORK_BYTES, UNLIMITED, MemoryRequirement
from hvdtma.core.registry import resolve
from hvdtma.core.threads import num_workers
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.sampled import most_input, neighbourhood_bytes
from hvdtma.graph.neighbour_means import BAND_BYTES, BANDS, READ_ROWS, group_file_bytes, least_bytes
from hvdtma.graph.sizes import GraphFacts
from hvdtma.models import LayeredEncoder, TypedLayeredEncoder, first_layer
from hvdtma.tasks import make_task

# Trainer 0 scores in the process that has trained, which is larger than a new one: 627 to 683 MiB
# were measured before scoring, and peaks of up to 90 MiB more than is counted below. The memory
# between the pages that are returned to the system differs from run to run.
TRAINED_BYTES = 136 << 20
EDGES_AT_ONCE = 1 << 20
TYPED_EDGES_AT_ONCE = 1 << 17  # in one step of a typed graph
TYPED_EDGE_BYTES = 64  # per edge of a step: both ends as read, by type, and renumbered
TYPED_COPIES = 3  # of the sources' rows: as read, projected, and for attention
ROWS_AT_ONCE = 1 << 15
LINEAR_COPIES = 4  # of a layer's output, without gradients: two linear maps, their sum, activation


@dataclass(frozen=True)
class ScoringBudget:
    """The memory to embed in, and a folder for rows that do not fit.

    Attributes:
        num_bytes: for the rows of layers and to work in.
        folder: for files; None: the system's folder for temporary files.
        work_bytes: of `num_bytes`, the least to keep free of rows.
    """

    num_bytes: int
    folder: Path | None = None
    work_bytes: int = 0

    @classmethod
    def of(cls, config: TrainConfig, requirement: MemoryRequirement) -> ScoringBudget:
        """The budget under `memory_gb`; raises UserError, naming the least limit, if too small."""
        available = requirement.available(config.memory_gb)
        return cls(available, config.scratch_dir, requirement.work_bytes)


NO_LIMIT = ScoringBudget(UNLIMITED)


class LayerCost(NamedTuple):
    """The cost of applying a layer to all nodes, range by range.

    Attributes:
        dim, itemsize: values per input row, and the size of a value.
        step_bytes: the memory of a step on a range, without means over neighbours.
        reads_means: whether means over neighbours are computed; the first hop is stored.
        reserved_bytes: the memory besides these means.
    """

    dim: int
    itemsize: int
    step_bytes: int
    reads_means: bool
    reserved_bytes: int


def layer_costs(config: TrainConfig, store: GraphFacts) -> list[LayerCost]:
    """The cost of each layer; empty if the encoder is not applied layer by layer."""
    encoder = resolve("encoder", config.model.encoder)
    if issubclass(encoder, TypedLayeredEncoder):
        return _typed_costs(config, store)
    if not issubclass(encoder, LayeredEncoder):
        return []
    hidden, kind = config.model.hidden, first_layer(config.model)
    rows, costs = min(store.num_nodes, ROWS_AT_ONCE), []
    dim, itemsize = store.feature_dim, store.feature_dtype.itemsize
    for number in range(config.model.layers):
        step = _step_bytes(rows, dim, hidden)
        if kind == "sampled":  # the source row of every edge is gathered
            edges = min(store.num_edges, EDGES_AT_ONCE)
            step += 4 * edges * (dim + hidden + config.model.heads)
        means = kind == "mean" and number >= config.first_hop
        reserved = reserved_for_means(store.num_nodes, dim, itemsize, hidden)
        costs.append(LayerCost(dim, itemsize, step, means, reserved))
        dim, itemsize = hidden, 4
    return costs


def _typed_costs(config: TrainConfig, store: GraphFacts) -> list[LayerCost]:
    """The cost of each layer of a typed encoder: a range of nodes with all their neighbours."""
    assert store.schema is not None
    hidden, costs = config.model.hidden, []
    widest = max(store.schema.dims)
    edges = min(store.num_edges, max(TYPED_EDGES_AT_ONCE, store.max_degree))
    rows = min(store.num_nodes, ROWS_AT_ONCE)
    hop = most_input(store, rows, store.num_nodes, first_hop=True)
    for number in range(config.model.layers):
        dim = widest if number == 0 else hidden
        step = _step_bytes(rows, dim, hidden) + 8 * rows * hidden
        if number == 0 and config.first_hop:
            step += 4 * (hop + rows * hidden)
        else:
            sources = min(edges + rows, store.num_nodes)
            step += 4 * sources * (dim + TYPED_COPIES * hidden)
            step += edges * (TYPED_EDGE_BYTES + 16 * config.model.heads)
        costs.append(LayerCost(dim, 4, step, False, step))
    return costs


def reserved_for_means(num_nodes: int, dim: int, itemsize: int, hidden: int) -> int:
    """The memory besides means over neighbours: a layer's step, and reading columns.

    Each thread of `neighbour_means` that selects columns holds some whole rows. These are freed
    before bands are filled, so only what exceeds the bands counts; on many cores it does.
    """
    reading = num_workers() * min(num_nodes, READ_ROWS) * dim * itemsize
    step = _step_bytes(min(num_nodes, ROWS_AT_ONCE), dim, hidden)
    return max(step, reading - BANDS * BAND_BYTES)


def _step_bytes(rows: int, dim: int, hidden: int) -> int:
    """Inputs, means over neighbours and outputs of so many rows."""
    return 4 * rows * (LINEAR_COPIES * hidden + 2 * dim)


def embedding_requirement(config: TrainConfig, store: GraphFacts) -> MemoryRequirement:
    """The memory to embed all nodes."""
    work = [LEAST_WORK_BYTES]
    costs = layer_costs(config, store)
    if not costs:
        work.append(neighbourhood_bytes(config, store, 1, all_neighbours=True))
    for cost in costs:
        work.append(cost.step_bytes)
        if cost.reads_means:
            work.append(least_bytes(store.num_nodes, cost.itemsize) + cost.reserved_bytes)
    indptr = 8 * (store.num_nodes + 1)
    return MemoryRequirement("embedding every node", BASE_BYTES + indptr, max(work))


def scoring_requirement(config: TrainConfig, store: GraphFacts) -> MemoryRequirement:
    """The memory to score: held-out items, and embeddings of all nodes or of a sample."""
    task = make_task(config, store)
    held_out = task.held_out_bytes() + TRAINED_BYTES
    if not config.evaluate.sample:
        embedding = embedding_requirement(config, store)
        return replace(
            embedding, purpose="scoring", reserved_bytes=embedding.reserved_bytes + held_out
        )
    one_item = neighbourhood_bytes(config, store, task.nodes_per_item)
    return MemoryRequirement(
        "scoring a single held-out link (or node) with its negatives and sampled neighbours",
        BASE_BYTES + held_out,
        max(LEAST_WORK_BYTES, one_item),
    )


def split_rows_and_work(num_nodes: int, out_dim: int, budget: ScoringBudget) -> tuple[bool, int]:
    """Whether the rows [N, H] of two layers are kept in memory, and the bytes left to work in."""
    rows = 2 * 4 * num_nodes * out_dim
    in_memory = rows <= min(budget.num_bytes // 2, budget.num_bytes - budget.work_bytes)
    return in_memory, budget.num_bytes - rows * in_memory


def scratch_bytes(config: TrainConfig, store: GraphFacts, budget: ScoringBudget) -> int:
    """The peak size of the files that embedding all nodes writes."""
    hidden, num_nodes = config.model.hidden, store.num_nodes
    in_memory, work = split_rows_and_work(num_nodes, hidden, budget)
    costs = layer_costs(config, store)
    files_of_rows = 0 if in_memory else max(min(len(costs), 2), 1)
    columns = [0]
    for number, cost in enumerate(costs):
        from_memory = in_memory and number > 0
        if cost.reads_means and not from_memory:
            available = work - cost.reserved_bytes
            columns.append(group_file_bytes(num_nodes, cost.dim, cost.itemsize, 4, available))
    return 4 * num_nodes * hidden * files_of_rows + max(columns)
