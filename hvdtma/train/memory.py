"""What a trainer needs beside its shard, and how much of the shard then fits in `memory_gb`."""

from __future__ import annotations

import math

import numpy as np

from hvdtma.config import TrainConfig
from hvdtma.errors import UserError
from hvdtma.graph.sizes import GraphFacts
from hvdtma.graph.store import GraphStore
from hvdtma.shard.footprint import PROCESS_BYTES, READING_BYTES, Footprint, sets_needed
from hvdtma.tasks.task import sampled_fanouts

INPUT_COPIES = 4  # of a batch's features and first hop: gathered, without targets, as float32
LAYER_COPIES = 8  # of a layer's output: linear maps, norm, activation, and gradients of all


def resident_sets(config: TrainConfig, store: GraphStore, blocks: np.ndarray) -> int:
    """Into how many resident sets a trainer's blocks are cut; 1 without `memory_gb`.

    Raises UserError, naming the least memory, if no two blocks fit.
    """
    num_nodes = int(np.diff(store.block_offsets)[blocks].sum())
    return sets_within(config, store, num_nodes, len(blocks))


def sets_within(config: TrainConfig, store: GraphFacts, num_nodes: int, num_blocks: int) -> int:
    """`resident_sets` of a shard of so many nodes and blocks."""
    if config.memory_gb is None:
        return 1
    labels = config.task.name == "nodes"
    footprint = Footprint.of(store, first_hop=config.first_hop, labels=labels)
    beside = beside_shard(config, store, num_nodes)
    room = int(config.memory_gb * 2**30) - beside
    sets = sets_needed(store, num_nodes, footprint, room, num_blocks)
    if sets > 1 and config.task.negatives == "global":
        raise UserError(
            "task.negatives 'global' needs the features of all nodes in memory; memory_gb is too "
            "small for them: use task.negatives=local"
        )
    return sets


def beside_shard(config: TrainConfig, store: GraphFacts, num_nodes: int) -> int:
    """Bytes of the process itself, what is being read, and a training step."""
    return PROCESS_BYTES + READING_BYTES + step_bytes(config, store, num_nodes)


def step_bytes(
    config: TrainConfig, store: GraphFacts, num_nodes: int, degree: float = math.inf
) -> int:
    """Bytes of one step: inputs, and every layer's output with its gradients.

    Args:
        num_nodes: of the shard.
        degree: neighbours that nodes have on average; without, what a step takes at most.
    """
    seeds = config.task.batch_size
    if config.task.name == "links":
        seeds *= 2 + config.task.num_negatives
    hops = [min(seeds, num_nodes)]
    for fanout in reversed(sampled_fanouts(config)):
        width = 1 + min(fanout if fanout > 0 else num_nodes, degree)
        hops.append(min(int(hops[-1] * width), num_nodes))
    inputs = hops[-1] * store.feature_dim * (1 + config.first_hop)
    outputs = sum(hops) * config.model.hidden
    return 4 * (INPUT_COPIES * inputs + LAYER_COPIES * outputs)
