"""What scoring and embedding may take of memory, and the least that they need.

Legend: N nodes, D features, H hidden, K negatives per link.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.memory import LEAST_WORK_BYTES, MemoryRequirement
from hvdtma.core.registry import resolve
from hvdtma.core.threads import num_workers
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.sampled import neighbourhood_bytes
from hvdtma.graph.neighbour_means import BAND_BYTES, BANDS, READ_ROWS, group_file_bytes, least_bytes
from hvdtma.graph.sizes import GraphFacts
from hvdtma.models import LayeredEncoder, first_layer
from hvdtma.sampling.footprint import PROCESS_BYTES
from hvdtma.tasks import make_task

# Trainer 0 scores in the process that has trained, which is larger than one that only scores: 627
# to 683 MiB before a part is scored, measured, and its peak was up to 90 MiB over that and what is
# counted below: what lies between the pages that are given back differs from run to run.
TRAINED_BYTES = 160 << 20
EDGES_AT_ONCE = 1 << 20
ROWS_AT_ONCE = 1 << 15
LINEAR_COPIES = 4  # of a layer's output, without gradients: two maps, their sum, what follows


@dataclass(frozen=True)
class ScoringBudget:
    """What embedding may take: bytes of memory for layers and work, and a folder for the rest.

    Attributes:
        least_bytes: of these, that are to stay free of layers, to work in.
    """

    num_bytes: int
    folder: Path | None = None
    least_bytes: int = 0

    @classmethod
    def of(cls, config: TrainConfig, needs: MemoryRequirement) -> ScoringBudget:
        """What `memory_gb` (None: no limit) leaves beside what is held.

        Raises UserError that names the least limit, where there is too little.
        """
        if config.memory_gb is None:
            return cls(1 << 62, config.scratch_dir, needs.work_bytes)
        room = int(config.memory_gb * 2**30) - needs.reserved_bytes
        if room < needs.work_bytes:
            raise needs.too_small(config.memory_gb)
        return cls(room, config.scratch_dir, needs.work_bytes)


NO_LIMIT = ScoringBudget(1 << 62)


def embedding_needs(config: TrainConfig, store: GraphFacts) -> MemoryRequirement:
    """Of embedding every node."""
    held = PROCESS_BYTES + 8 * (store.num_nodes + 1)
    work = [LEAST_WORK_BYTES]
    if not embeds_by_layer(config):
        work.append(neighbourhood_bytes(config, store, 1))
        return MemoryRequirement("embedding every node", held, max(work))
    for number in range(config.model.layers):
        work.append(layer_bytes(config, store, number))
        if takes_means(config, number):
            width, itemsize = input_of(config, store, number)
            beside = beside_means(store.num_nodes, width, itemsize, config.model.hidden)
            work.append(least_bytes(store.num_nodes, itemsize) + beside)
    return MemoryRequirement("embedding every node", held, max(work))


def scoring_needs(config: TrainConfig, store: GraphFacts) -> MemoryRequirement:
    """Of scoring: the held-out links (or nodes), and every node's embedding or a sample's."""
    task = make_task(config, store)
    held = task.held_out_bytes() + TRAINED_BYTES
    if not config.evaluate.sample:
        all_nodes = embedding_needs(config, store)
        return MemoryRequirement("scoring", held + all_nodes.reserved_bytes, all_nodes.work_bytes)
    one = neighbourhood_bytes(config, store, task.nodes_per_item)
    return MemoryRequirement(
        "scoring a single held-out link (or node) with its negatives and sampled neighbours",
        held + PROCESS_BYTES,
        max(LEAST_WORK_BYTES, one),
    )


def layers_within(num_nodes: int, out_dim: int, room: ScoringBudget) -> tuple[bool, int]:
    """Whether two layers [N, H] are held in memory, and the bytes that are left to work in."""
    both = 2 * 4 * num_nodes * out_dim
    in_memory = both <= min(room.num_bytes // 2, room.num_bytes - room.least_bytes)
    return in_memory, room.num_bytes - both * in_memory


def scratch_bytes(config: TrainConfig, store: GraphFacts, room: ScoringBudget) -> int:
    """Bytes that embedding every node writes to its folder, at most at a time."""
    hidden, num_nodes = config.model.hidden, store.num_nodes
    layers_kept = min(config.model.layers, 2) if embeds_by_layer(config) else 1
    in_memory, work = layers_within(num_nodes, hidden, room)
    layers = 0 if in_memory else 4 * num_nodes * hidden * layers_kept
    waiting = [0]
    for number in range(config.model.layers):
        held = in_memory and number > 0  # the layer before is an array
        if takes_means(config, number) and not held:
            width, itemsize = input_of(config, store, number)
            left = work - beside_means(num_nodes, width, itemsize, hidden)
            waiting.append(group_file_bytes(num_nodes, width, itemsize, 4, left))
    return layers + max(waiting)


def layer_bytes(config: TrainConfig, store: GraphFacts, number: int) -> int:
    """Bytes of a step of layer `number`, without means over neighbours."""
    width, _ = input_of(config, store, number)
    rows = min(store.num_nodes, ROWS_AT_ONCE)
    step = layer_step_bytes(rows, width, config.model.hidden)
    if first_layer(config.model) == "sampled":  # every edge's source is gathered
        edges = min(store.num_edges, EDGES_AT_ONCE)
        step += 4 * edges * (width + config.model.hidden + config.model.heads)
    return step


def beside_means(num_nodes: int, width: int, itemsize: int, hidden: int) -> int:
    """Bytes that are needed beside means over neighbours: a layer's step, and reading columns.

    Each thread of `neighbour_means` that picks columns out of rows holds some whole rows. That is
    before there are bands, in whose place they are, and on many cores it is more than these.
    """
    reading = num_workers() * min(num_nodes, READ_ROWS) * width * itemsize
    step = layer_step_bytes(min(num_nodes, ROWS_AT_ONCE), width, hidden)
    return max(step, reading - BANDS * BAND_BYTES)


def layer_step_bytes(rows: int, width: int, hidden: int) -> int:
    """Bytes of a layer's step on so many rows: inputs, what their neighbours gave, outputs."""
    return 4 * rows * (LINEAR_COPIES * hidden + 2 * width)


def input_of(config: TrainConfig, store: GraphFacts, number: int) -> tuple[int, int]:
    """Values of a row that layer `number` reads, and the bytes of each."""
    if number:
        return config.model.hidden, 4
    return store.feature_dim, store.feature_dtype.itemsize


def takes_means(config: TrainConfig, number: int) -> bool:
    """Whether layer `number` reads means over neighbours that are not stored."""
    mean = first_layer(config.model) == "mean"
    return mean and embeds_by_layer(config) and number >= config.first_hop


def embeds_by_layer(config: TrainConfig) -> bool:
    """Whether the config's encoder is applied to all nodes one layer after the other."""
    return issubclass(resolve("encoder", config.model.encoder), LayeredEncoder)
