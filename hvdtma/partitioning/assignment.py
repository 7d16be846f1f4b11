"""The assignment of blocks to trainers: a pure function of seed, number and trainers.

Legend: B blocks, P parts of a min-cut order, M trainers.
"""

from __future__ import annotations

import heapq

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.graph.store import GraphStore


def assign_blocks(
    store: GraphStore, trainers: int, *, seed: int = 0, number: int = 0
) -> list[np.ndarray]:
    """The blocks of each trainer, int64 ascending; every block is assigned exactly once.

    The units of assignment are blocks, or whole parts of a min-cut order. They are shuffled, and
    each goes to the trainer with the fewest nodes so far. So the trainers' numbers of nodes differ
    by less than the size of one unit.

    Args:
        number: number of the assignment in a run, from 0.

    Raises UserError if there are fewer units than trainers.
    """
    units = assignment_units(store)
    check_trainers(trainers, len(units), whole_parts=store.part_offsets is not None)
    if trainers == 1:
        return [np.arange(store.num_blocks)]
    rng = np.random.default_rng([seed, number, trainers])
    block_sizes = np.diff(store.block_offsets)
    blocks_of: list[list[np.ndarray]] = [[] for _ in range(trainers)]
    loads = [(0, tie, trainer) for tie, trainer in enumerate(rng.permutation(trainers))]
    heapq.heapify(loads)
    for unit in rng.permutation(len(units)):
        num_nodes, tie, trainer = heapq.heappop(loads)
        blocks_of[trainer].append(units[unit])
        heapq.heappush(loads, (num_nodes + int(block_sizes[units[unit]].sum()), tie, trainer))
    return [np.sort(np.concatenate(blocks)) for blocks in blocks_of]


def check_trainers(trainers: int, num_units: int, *, whole_parts: bool) -> None:
    """Raises UserError if there are fewer units (parts or blocks) than trainers."""
    if trainers < 1:
        raise UserError(f"trainers is {trainers}; it must be at least 1")
    if trainers > num_units:
        what = "parts" if whole_parts else "blocks"
        remedy = "more --parts" if whole_parts else "smaller --block-nodes"
        raise UserError(
            f"{trainers} trainers, but the store has only {num_units} {what} to assign; use at "
            f"most {num_units} trainers, or partition with {remedy}"
        )


def assignment_units(store: GraphStore) -> list[np.ndarray]:
    """The blocks of each unit of assignment: one block, or all blocks of a min-cut part."""
    if store.part_offsets is None:
        return [np.array([block]) for block in range(store.num_blocks)]
    return np.split(np.arange(store.num_blocks), store.part_offsets[1:-1])
