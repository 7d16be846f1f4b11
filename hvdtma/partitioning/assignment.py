"""Who gets which blocks: a pure function of (seed, assignment number, trainers).

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
    """Blocks of each trainer, int64 ascending, every block assigned exactly once.

    Units (blocks; or whole parts, if the store's order is min-cut) are shuffled and each goes to
    the trainer with the fewest nodes so far, so that trainers differ by less than one unit.

    Raises UserError if there are fewer units than trainers.
    """
    units = assignment_units(store)
    check_trainers(trainers, len(units), whole_parts=store.part_offsets is not None)
    if trainers == 1:
        return [np.arange(store.num_blocks)]
    rng = np.random.default_rng([seed, number, trainers])
    block_sizes = np.diff(store.block_offsets)
    blocks_of: list[list[np.ndarray]] = [[] for _ in range(trainers)]
    load = [(0, place, trainer) for place, trainer in enumerate(rng.permutation(trainers))]
    heapq.heapify(load)
    for unit in rng.permutation(len(units)):
        nodes, place, trainer = heapq.heappop(load)
        blocks_of[trainer].append(units[unit])
        heapq.heappush(load, (nodes + int(block_sizes[units[unit]].sum()), place, trainer))
    return [np.sort(np.concatenate(blocks)) for blocks in blocks_of]


def check_trainers(trainers: int, num_units: int, *, whole_parts: bool) -> None:
    """Raises UserError if so many parts or blocks cannot be assigned to so many trainers."""
    if trainers < 1:
        raise UserError(f"{trainers} trainers asked for; there must be at least 1")
    if trainers > num_units:
        what = "parts" if whole_parts else "blocks"
        remedy = "more --parts" if whole_parts else "smaller --block-nodes"
        raise UserError(
            f"{trainers} trainers, but there are only {num_units} {what} to assign; use at most "
            f"{num_units} trainers, or partition with {remedy}"
        )


def assignment_units(store: GraphStore) -> list[np.ndarray]:
    """Blocks that are assigned together: single ones, or those of a min-cut part."""
    if store.part_offsets is None:
        return [np.array([block]) for block in range(store.num_blocks)]
    return np.split(np.arange(store.num_blocks), store.part_offsets[1:-1])
