"""What a trainer needs beside its shard, and how much of the shard then fits in `memory_gb`."""

from __future__ import annotations

import math

import numpy as np

from hvdtma.core.memory import MemoryRequirement
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import scoring_needs
from hvdtma.graph.sizes import GraphFacts, GraphSizes
from hvdtma.graph.store import GraphStore
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.footprint import (
    PROCESS_BYTES,
    READING_BYTES,
    Footprint,
    bytes_of_sets,
    sets_needed,
)
from hvdtma.tasks import make_task

# A step's threads share its arrays: with 1, 2 and 16 of PyTorch's and Numba's a trainer's peak was
# 1.599, 1.603 and 1.588 GiB (hidden 256, batches of 1024). So nothing is counted for each.
INPUT_COPIES = 4  # of a batch's features and first hop: gathered, without targets, as float32
LAYER_COPIES = 8  # of a layer's output: linear maps, norm, activation, and gradients of all


def check_memory(config: TrainConfig, store: GraphStore, trainers: int) -> None:
    """Raises UserError, naming the least that does, if `memory_gb` is too little for the run.

    That is for any trainer's shard of any assignment, and for scoring.
    """
    if config.memory_gb is None:
        return
    sizes = GraphSizes.of(store)
    largest_shard = sizes.num_nodes
    if trainers > 1:  # their loads differ by less than a unit
        largest_shard = min(-(-sizes.num_nodes // trainers) + sizes.largest_unit, sizes.num_nodes)
    largest_block = int(np.diff(store.block_offsets).max())
    needs = least_needs(config, sizes, largest_shard, largest_block)
    if needs.total_bytes > int(config.memory_gb * 2**30):
        raise needs.too_small(config.memory_gb)


def least_needs(
    config: TrainConfig, store: GraphFacts, num_nodes: int, block_nodes: int
) -> MemoryRequirement:
    """What is needed at least to train on a shard of blocks of so many nodes, and to score."""
    footprint = shard_footprint(config, store)
    whole = bytes_of_sets(store, num_nodes, 1, footprint)
    two_blocks = bytes_of_sets(store, block_nodes, 2, footprint)
    work = whole if make_task(config, store).needs_remote else min(whole, two_blocks)
    what = "training" + " with task.negatives=global" * make_task(config, store).needs_remote
    training = MemoryRequirement(what, beside_shard(config, store, num_nodes), work)
    return max(training, scoring_needs(config, store), key=lambda needs: needs.total_bytes)


def resident_sets(config: TrainConfig, store: GraphStore, blocks: np.ndarray) -> int:
    """Into how many resident sets a trainer's blocks are cut; 1 without `memory_gb`.

    Raises UserError, naming the least memory, if no two blocks fit.
    """
    return sets_within(config, store, np.diff(store.block_offsets)[blocks])


def sets_within(config: TrainConfig, store: GraphFacts, block_nodes: np.ndarray) -> int:
    """`resident_sets` of a shard of blocks of so many nodes."""
    if config.memory_gb is None:
        return 1
    num_nodes = int(block_nodes.sum())
    room = int(config.memory_gb * 2**30) - beside_shard(config, store, num_nodes)
    sets = sets_needed(store, block_nodes, shard_footprint(config, store), room)
    if sets is None or (sets > 1 and make_task(config, store).needs_remote):
        largest_block = int(block_nodes.max())
        needs = least_needs(config, store, num_nodes, largest_block)
        raise needs.too_small(config.memory_gb)
    return sets


def shard_footprint(config: TrainConfig, store: GraphFacts) -> Footprint:
    """What a trainer's shard holds of each node and edge."""
    labels = make_task(config, store).needs_labels
    return Footprint.of(store, first_hop=config.first_hop, labels=labels)


def beside_shard(config: TrainConfig, store: GraphFacts, num_nodes: int) -> int:
    """Bytes of the process itself, what is being read, a training step, and others' nodes."""
    step = step_bytes(config, store, num_nodes)
    return PROCESS_BYTES + READING_BYTES + step + remote_bytes(config, store, num_nodes)


def remote_bytes(config: TrainConfig, store: GraphFacts, num_nodes: int) -> int:
    """Bytes of the nodes outside a shard of `num_nodes`, where negatives are drawn of all."""
    others = (store.num_nodes - num_nodes) * make_task(config, store).needs_remote
    return shard_footprint(config, store).bytes_of(others, 0)


def step_bytes(
    config: TrainConfig, store: GraphFacts, num_nodes: int, degree: float = math.inf
) -> int:
    """Bytes of one step: inputs, and every layer's output with its gradients.

    Args:
        num_nodes: of the shard.
        degree: neighbours that nodes have on average; without, what a step takes at most.
    """
    hops = [min(make_task(config, store).seeds_per_step, num_nodes)]
    for fanout in reversed(sampled_fanouts(config)):
        width = 1 + min(fanout if fanout > 0 else num_nodes, degree)
        hops.append(min(int(hops[-1] * width), num_nodes))
    inputs = hops[-1] * store.feature_dim * (1 + config.first_hop)
    outputs = sum(hops) * config.model.hidden
    return 4 * (INPUT_COPIES * inputs + LAYER_COPIES * outputs)
