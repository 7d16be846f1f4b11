"""How much memory each stage will have at its peak, beside what a process takes anyway.

Where a stage keeps a limit, it is asked what it would do under it: the numbers of buckets, sets,
tiles and layers come from the code that works with them.

Legend: N nodes, E edges, D features, H hidden.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hvdtma.core.memory import MemoryBudget
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import (
    ScoringBudget,
    beside_means,
    input_of,
    layer_bytes,
    layers_within,
    scoring_needs,
    takes_means,
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
from hvdtma.sampling.footprint import bytes_of_sets, edges_within, largest_set
from hvdtma.sampling.reader import WORKERS
from hvdtma.storage.array_writer import CHUNK_BYTES
from hvdtma.tasks import make_task
from hvdtma.training.memory import remote_bytes, sets_within, shard_footprint, step_bytes


def build_bytes(planned: PlannedGraph, sizes: GraphSizes) -> int:
    """Bytes of the stage of a build that takes most. Raises UserError for too small a limit."""
    memory, build = MemoryBudget.limit(planned.memory_gb), planned.build_sizes
    build.check_memory(memory)
    order = build.order_bytes
    sorting = 2 * order + planned.nodes + _sorting_bytes(planned, sorting_room(planned))
    first_hop = _first_hop_bytes(sizes, memory.reserve(order))
    return max(sorting, order + max(build.negative_bytes(), build.label_bytes(), first_hop))


def sorting_room(planned: PlannedGraph) -> int:
    """Bytes that a build gives its sorter, as `write_edges` does."""
    return bytes_for_keys(
        planned.build_sizes.available_to_sort(MemoryBudget.limit(planned.memory_gb))
    )


def sorter_of(planned: PlannedGraph, room: int) -> EdgeSorter:
    """The sorter that a build would use with `room` bytes; it holds nothing yet."""
    return EdgeSorter(planned.nodes, planned.num_keys, Path("unused"), room)


def _sorting_bytes(planned: PlannedGraph, room: int) -> int:
    sorter = sorter_of(planned, room)
    keys, buckets = planned.num_keys, len(sorter.buckets)
    in_memory = KEY_BYTES * keys <= sorter.buckets.memory_bytes
    piece = (16 + KEY_BYTES * (1 + planned.undirected)) * min(planned.edges, EDGES_PER_BATCH)
    held = min(KEY_BYTES * keys, sorter.buckets.memory_bytes)
    scattering = held + (sorter.workers + 1) * piece
    in_flight = min(sorter.workers + 1, buckets) * (keys // buckets)
    several = in_memory and buckets > 1  # of a single one, keys are let go of as it is taken
    return max(scattering, SORT_BYTES * in_flight + KEY_BYTES * keys * several)


def _first_hop_bytes(sizes: GraphSizes, memory: MemoryBudget) -> int:
    if "first_hop" not in sizes:
        return 0
    indptr = 8 * (sizes.num_nodes + 1)
    dim, itemsize = sizes.feature_dim, sizes.feature_dtype.itemsize
    room = available_for_first_hop(sizes.num_nodes, itemsize, memory)
    means = _means_bytes(sizes, dim, itemsize, held=False, memory_bytes=room)
    return indptr + means + min(2 * CHUNK_BYTES, itemsize * sizes.num_nodes * dim)


def _means_bytes(
    sizes: GraphSizes, dim: int, itemsize: int, *, held: bool, memory_bytes: int
) -> int:
    index = _index_bytes(sizes)
    return bytes_taken(
        *(sizes.num_nodes, dim, itemsize, sizes.num_edges, index),
        in_memory=held,
        memory_bytes=memory_bytes,
    )


def partition_bytes(sizes: GraphSizes, memory_gb: float | None = None) -> int:
    """Bytes of writing a store in another order; clustering (super, min-cut) takes more.

    The order and its inverse, and what sorting all edges or putting all rows in order would take,
    as far as the limit lets it.
    """
    held = (2 * _index_bytes(sizes) + 1) * sizes.num_nodes
    room = (
        MemoryBudget.limit(memory_gb).available(held, f"renumbering {sizes.num_nodes:,} nodes")
        * 3
        // 4
    )
    rows = 2 * sizes.num_nodes * sizes.feature_dim * sizes.feature_dtype.itemsize
    return held + min(max((KEY_BYTES + SORT_BYTES) * sizes.num_edges, rows), room)


def shard_nodes(sizes: GraphSizes, trainers: int) -> int:
    """Nodes of the largest shard: the trainers' loads differ by less than a unit."""
    return min(-(-sizes.num_nodes // trainers) + sizes.largest_unit // 2, sizes.num_nodes)


def train_bytes(config: TrainConfig, sizes: GraphSizes, trainers: int) -> int:
    """Bytes of a trainer: its shard, or two sets of it; a step; chunks on their way.

    A batch of links has nodes in it as often as they have links. Where degrees are spread
    exponentially, such a node has twice the mean number of neighbours, and so it is taken here.
    """
    sets = sets_of(config, sizes, trainers)
    nodes = largest_set(shard_blocks(sizes, trainers), sets)
    shard = bytes_of_sets(sizes, nodes, sets, shard_footprint(config, sizes))
    shard += remote_bytes(config, sizes, shard_nodes(sizes, trainers))
    degree = footprint_edges(sizes, nodes) / max(nodes, 1)
    if not make_task(config, sizes).needs_labels:
        degree *= 2
    step = step_bytes(config, sizes, nodes, degree)
    return shard + step + min(2 * WORKERS * CHUNK_BYTES, shard)


def sets_of(config: TrainConfig, sizes: GraphSizes, trainers: int) -> int:
    """Into how many resident sets a shard is cut. Raises UserError if no two blocks fit."""
    return sets_within(config, sizes, shard_blocks(sizes, trainers))


def shard_blocks(sizes: GraphSizes, trainers: int) -> np.ndarray:
    """Nodes int64 of each block of the largest shard, taken to be alike."""
    blocks = max(sizes.num_blocks // trainers, 1)
    return np.diff(np.arange(blocks + 1) * shard_nodes(sizes, trainers) // blocks)


def footprint_edges(sizes: GraphSizes, num_nodes: float) -> float:
    """Edges expected within so many nodes of whole blocks."""
    return edges_within(sizes, num_nodes / max(sizes.num_nodes, 1))


def evaluate_bytes(config: TrainConfig, sizes: GraphSizes) -> int:
    """Bytes of scoring: the held-out links or nodes, and embeddings of all nodes or of a sample."""
    task = make_task(config, sizes)
    held = task.held_out_bytes()
    room = ScoringBudget.of(config, scoring_needs(config, sizes))
    if not config.evaluate.sample:
        return held + embedding_bytes(config, sizes, room)
    asked = config.evaluate.sample * task.nodes_per_item
    needed = neighbourhood_bytes(config, sizes, asked)
    return held + min(needed, room.num_bytes, SAMPLED_BYTES)


def embedding_bytes(config: TrainConfig, sizes: GraphSizes, room: ScoringBudget) -> int:
    """Bytes of `embed`, in the layer that takes most, with the graph's indptr."""
    hidden, layers = config.model.hidden, config.model.layers
    in_memory, work = layers_within(sizes.num_nodes, hidden, room)
    layer = 4 * sizes.num_nodes * hidden * in_memory
    most = 0
    for number in range(layers):
        step = layer_bytes(config, sizes, number)
        if takes_means(config, number):
            width, itemsize = input_of(config, sizes, number)
            left = work - beside_means(sizes.num_nodes, width, itemsize, hidden)
            held = bool(number) and in_memory
            step += _means_bytes(sizes, width, itemsize, held=held, memory_bytes=left)
        most = max(most, layer * (1 + (number > 0)) + step)
    return 8 * (sizes.num_nodes + 1) + most


def _index_bytes(sizes: GraphSizes) -> int:
    return np.dtype(index_dtype(sizes.num_nodes)).itemsize
