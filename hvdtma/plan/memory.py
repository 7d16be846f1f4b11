"""The expected peak memory of each stage, besides the process itself.

The numbers of buckets, groups of columns, layers in memory and resident sets are those that the
stages themselves choose under their limits.

Legend: N nodes, E edges, D features, H hidden.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hvdtma.core.memory import MemoryBudget
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import (
    ROWS_AT_ONCE,
    ScoringBudget,
    layer_costs,
    scoring_requirement,
    split_rows_and_work,
)
from hvdtma.evaluation.embeddings import SAMPLED_BYTES
from hvdtma.evaluation.sampled import neighbourhood_bytes
from hvdtma.graph.builder.budget import bytes_for_keys
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.first_hop import available_for_first_hop
from hvdtma.graph.neighbour_means import bytes_taken
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.sort.batches import EDGES_PER_BATCH
from hvdtma.graph.sort.edge_sorter import KEY_BYTES, SORT_BYTES, EdgeSorter
from hvdtma.plan.graph import PlannedGraph
from hvdtma.sampling.budget import expected_edges, largest_set, resident_bytes
from hvdtma.sampling.reader import WORKERS
from hvdtma.storage.array_writer import CHUNK_BYTES
from hvdtma.tasks import make_task
from hvdtma.training.budget import remote_bytes, resident_sets, shard_footprint, step_bytes

# A process with a graph of a few hundred nodes, measured with PyTorch 2.13 for CPUs on Python 3.11.
BUILD_PROCESS_BYTES = 526 << 20
TRAIN_PROCESS_BYTES = 619 << 20
SCORE_PROCESS_BYTES = 526 << 20


def build_bytes(planned: PlannedGraph, sizes: GraphSizes) -> int:
    """The stage of a build that needs most; raises UserError if its limit is too small."""
    memory, build = MemoryBudget.limit(planned.memory_gb), planned.build_sizes
    build.check_memory(memory)
    order = build.order_bytes
    available = bytes_for_keys(build.available_to_sort(memory))
    held = 2 * order + planned.nodes + build.side_bytes
    sorting = held + _sorting_bytes(planned, available)
    first_hop = _first_hop_bytes(sizes, memory.reserve(order))
    return max(sorting, order + max(build.negative_bytes(), build.label_bytes(), first_hop))


def _sorting_bytes(planned: PlannedGraph, available: int) -> int:
    """The larger of the two passes of `EdgeSorter`."""
    keys = planned.build_sizes.num_keys
    sorter = EdgeSorter(planned.nodes, keys, Path("unused"), available)
    buckets, key_limit = len(sorter.buckets), sorter.buckets.memory_bytes
    edge_bytes = 16 + KEY_BYTES * (1 + planned.undirected)
    batches = (sorter.workers + 1) * edge_bytes * min(planned.edges, EDGES_PER_BATCH)
    scattering = min(KEY_BYTES * keys, key_limit) + batches
    in_flight = min(sorter.workers + 1, buckets) * (keys // buckets)
    kept = KEY_BYTES * keys if KEY_BYTES * keys <= key_limit and buckets > 1 else 0
    return max(scattering, SORT_BYTES * in_flight + kept)


def _first_hop_bytes(sizes: GraphSizes, memory: MemoryBudget) -> int:
    if "first_hop" not in sizes:
        return 0
    indptr = 8 * (sizes.num_nodes + 1)
    dim, itemsize = sizes.feature_dim, sizes.feature_dtype.itemsize
    available = available_for_first_hop(sizes.num_nodes, itemsize, memory)
    means = _means_bytes(sizes, dim, itemsize, in_memory=False, available=available)
    return indptr + means + min(2 * CHUNK_BYTES, itemsize * sizes.num_nodes * dim)


def _means_bytes(
    sizes: GraphSizes, dim: int, itemsize: int, *, in_memory: bool, available: int
) -> int:
    return bytes_taken(
        *(sizes.num_nodes, dim, itemsize, sizes.num_edges, _index_bytes(sizes)),
        in_memory=in_memory,
        memory_bytes=available,
    )


def partition_bytes(sizes: GraphSizes, memory_gb: float | None = None) -> int:
    """Writing a store in another order, without the clustering of super and min-cut.

    The order and its inverse, and then either all edges or all rows, as far as the limit allows.
    """
    order = (2 * _index_bytes(sizes) + 1) * sizes.num_nodes
    purpose = f"renumbering {sizes.num_nodes:,} nodes"
    available = MemoryBudget.limit(memory_gb).available(order, purpose) * 3 // 4
    rows = 2 * sizes.num_nodes * sizes.feature_dim * sizes.feature_dtype.itemsize
    return order + min(max((KEY_BYTES + SORT_BYTES) * sizes.num_edges, rows), available)


def train_bytes(config: TrainConfig, sizes: GraphSizes, trainers: int) -> int:
    """A trainer: its shard or two resident sets of it, a step, and chunks in flight.

    In a batch of links, a node is as frequent as it has links. If degrees are distributed
    exponentially, its mean degree is twice that of all nodes, which is assumed here.
    """
    sets = expected_sets(config, sizes, trainers)
    num_nodes = largest_set(shard_blocks(sizes, trainers), sets)
    shard = resident_bytes(sizes, num_nodes, sets, shard_footprint(config, sizes))
    shard += remote_bytes(config, sizes, largest_shard(sizes, trainers))
    degree = expected_edges(sizes, num_nodes) / max(num_nodes, 1)
    if not make_task(config, sizes).needs_labels:
        degree *= 2
    step = step_bytes(config, sizes, num_nodes, degree)
    return shard + step + min(2 * WORKERS * CHUNK_BYTES, shard)


def expected_sets(config: TrainConfig, sizes: GraphSizes, trainers: int) -> int:
    """The number of resident sets; raises UserError if two blocks do not fit."""
    return resident_sets(config, sizes, shard_blocks(sizes, trainers))


def largest_shard(sizes: GraphSizes, trainers: int) -> int:
    """The expected number of nodes of the largest shard: shards differ by less than a unit."""
    return min(-(-sizes.num_nodes // trainers) + sizes.largest_unit // 2, sizes.num_nodes)


def shard_blocks(sizes: GraphSizes, trainers: int) -> np.ndarray:
    """int64, the nodes of each block of the largest shard; blocks of equal size are assumed."""
    blocks = max(sizes.num_blocks // trainers, 1)
    return np.diff(np.arange(blocks + 1) * largest_shard(sizes, trainers) // blocks)


def scoring_bytes(config: TrainConfig, sizes: GraphSizes) -> int:
    """Scoring one part: the held-out items, and embeddings of all nodes or of a sample."""
    task = make_task(config, sizes)
    held_out = task.held_out_bytes()
    budget = ScoringBudget.of(config, scoring_requirement(config, sizes))
    if not config.evaluate.sample:
        return held_out + embedding_bytes(config, sizes, budget)
    num_nodes = config.evaluate.sample * task.nodes_per_item
    needed = neighbourhood_bytes(config, sizes, num_nodes)
    return held_out + min(needed, budget.num_bytes, SAMPLED_BYTES)


def embedding_bytes(config: TrainConfig, sizes: GraphSizes, budget: ScoringBudget) -> int:
    """Embedding all nodes, in the layer that needs most."""
    num_nodes, hidden = sizes.num_nodes, config.model.hidden
    in_memory, work = split_rows_and_work(num_nodes, hidden, budget)
    rows = 4 * num_nodes * hidden * in_memory
    costs = layer_costs(config, sizes)
    if not costs:
        needed = neighbourhood_bytes(config, sizes, ROWS_AT_ONCE, all_neighbours=True)
        return rows + min(needed, work)
    layers = []
    for number, cost in enumerate(costs):
        step, after_first = cost.step_bytes, number > 0
        if cost.reads_means:
            step += _means_bytes(
                *(sizes, cost.dim, cost.itemsize),
                in_memory=in_memory and after_first,
                available=work - cost.reserved_bytes,
            )
        layers.append(rows * (1 + after_first) + step)
    return 8 * (num_nodes + 1) + max(layers)


def _index_bytes(sizes: GraphSizes) -> int:
    return np.dtype(index_dtype(sizes.num_nodes)).itemsize
