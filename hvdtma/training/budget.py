"""The memory of a trainer, and the number of resident sets that fit into `memory_gb`.

A requirement is reserved for the process, reading, a step and other trainers' nodes; the shard is
read into the remaining memory.
"""

from __future__ import annotations

import math

import numpy as np

from hvdtma.core.memory import BASE_BYTES, MemoryBudget, MemoryRequirement
from hvdtma.core.train_config import TrainConfig
from hvdtma.evaluation.budget import scoring_requirement
from hvdtma.evaluation.sampled import most_input
from hvdtma.graph.sizes import GraphFacts, GraphSizes
from hvdtma.graph.store import GraphStore
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.budget import READING_BYTES, ShardFootprint, fitting_sets, resident_bytes
from hvdtma.sampling.prefetch import batch_workers, batches_ahead, has_gpu
from hvdtma.sampling.sampler import Sampler, is_grouping, make_sampler
from hvdtma.tasks import make_task

# The threads of a step share its arrays: with 1, 2 and 16 threads of PyTorch and Numba the peak of
# a trainer was 1.599, 1.603 and 1.588 GiB (hidden 256, batches of 1024). Threads are not counted.
INPUT_COPIES = 4  # of a batch's features and first hop: gathered, without targets, as float32
PINNED_COPIES = 2  # page-locked memory is given in powers of two
LAYER_COPIES = 8  # of a layer's output: linear maps, norm, activation, and the gradients of all


def check_memory(config: TrainConfig, store: GraphStore, trainers: int) -> None:
    """Raise UserError, naming the least limit, if `memory_gb` is too small for a run.

    It is enough for every trainer's shard in every assignment, and for scoring.
    """
    sizes = GraphSizes.of(store)
    shard_nodes = sizes.num_nodes
    if trainers > 1:  # shards differ by less than a unit of assignment
        shard_nodes = min(-(-sizes.num_nodes // trainers) + sizes.largest_unit, sizes.num_nodes)
    block_nodes = int(np.diff(store.block_offsets).max())
    run_requirement(config, sizes, shard_nodes, block_nodes).available(config.memory_gb)


def run_requirement(
    config: TrainConfig, store: GraphFacts, shard_nodes: int, block_nodes: int
) -> MemoryRequirement:
    """The memory to train on a shard and to score, whichever is larger.

    Args:
        shard_nodes: the nodes of the shard.
        block_nodes: the nodes of its largest block.
    """
    footprint, needs_remote = shard_footprint(config, store), make_task(config, store).needs_remote
    work = resident_bytes(store, shard_nodes, 1, footprint)
    if not needs_remote:
        work = min(work, resident_bytes(store, block_nodes, 2, footprint))
    purpose = "training" + " with task.negatives=global" * needs_remote
    training = MemoryRequirement(purpose, reserved_bytes(config, store, shard_nodes), work)
    return max(training, scoring_requirement(config, store), key=lambda each: each.total_bytes)


def resident_sets(config: TrainConfig, store: GraphFacts, block_nodes: np.ndarray) -> int:
    """The number of resident sets of a shard; 1 without `memory_gb`.

    Args:
        block_nodes: int64, the nodes of each block of the shard.

    Raises UserError, naming the least limit, if two blocks do not fit.
    """
    if config.memory_gb is None:
        return 1
    shard_nodes = int(block_nodes.sum())
    limit = MemoryBudget.limit(config.memory_gb).num_bytes
    available = limit - reserved_bytes(config, store, shard_nodes)
    sets = fitting_sets(store, block_nodes, shard_footprint(config, store), available)
    if sets is None or (sets > 1 and make_task(config, store).needs_remote):
        requirement = run_requirement(config, store, shard_nodes, int(block_nodes.max()))
        raise requirement.too_small(config.memory_gb)
    return sets


def shard_footprint(config: TrainConfig, store: GraphFacts) -> ShardFootprint:
    """The memory of a trainer's shard per node and edge."""
    labels = make_task(config, store).needs_labels
    grouped = is_grouping(_sampler(config))
    return ShardFootprint.of(store, first_hop=config.first_hop, labels=labels, grouped=grouped)


def _sampler(config: TrainConfig) -> Sampler:
    return make_sampler(config.sampler, sampled_fanouts(config))


def reserved_bytes(config: TrainConfig, store: GraphFacts, shard_nodes: int) -> int:
    """The memory of a trainer besides its shard."""
    step = step_bytes(config, store, shard_nodes)
    return BASE_BYTES + READING_BYTES + step + remote_bytes(config, store, shard_nodes)


def remote_bytes(config: TrainConfig, store: GraphFacts, shard_nodes: int) -> int:
    """The memory of the nodes outside the shard, if the task needs them; else 0."""
    others = (store.num_nodes - shard_nodes) * make_task(config, store).needs_remote
    return shard_footprint(config, store).num_bytes(others, 0)


def step_bytes(
    config: TrainConfig, store: GraphFacts, num_nodes: int, degree: float = math.inf
) -> int:
    """The memory of one step: the inputs, and the output and gradients of every layer.

    The inputs of the batches that are made ahead count too.

    Args:
        num_nodes: the nodes of the shard, or of the resident set.
        degree: the mean degree of the nodes; by default an upper bound is returned.
    """
    sampler = _sampler(config)
    shard_nodes = num_nodes
    if is_grouping(sampler):
        num_nodes = min(sampler.max_nodes, num_nodes)
    hops = [min(make_task(config, store).seeds_per_step, num_nodes)]
    schema = store.schema
    kinds = 1 if schema is None else max(len(schema.into(t)) for t in range(len(schema.dims)))
    for fanout in reversed(sampled_fanouts(config)):
        width = 1 + min(fanout * kinds if fanout > 0 else num_nodes, degree)
        hops.append(min(int(hops[-1] * width), num_nodes))
    inputs = most_input(store, hops[-1], shard_nodes, first_hop=config.first_hop)
    outputs = sum(hops) * config.model.hidden
    if schema is not None:  # the projection of features, and of means of each edge type
        outputs += hops[-1] * config.model.hidden * (1 + kinds * config.first_hop)
    of_batch = PINNED_COPIES if has_gpu(config) else 1
    copies = INPUT_COPIES + of_batch * batches_ahead(batch_workers(config))
    loss_bytes = getattr(make_task(config, store), "loss_bytes", lambda _: 0)
    return 4 * (copies * inputs + LAYER_COPIES * outputs) + loss_bytes(config.model.hidden)
