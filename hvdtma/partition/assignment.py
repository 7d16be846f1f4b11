"""Who gets which blocks: a pure function of (seed, deal number, trainers).

Legend: B blocks, P parts of a min-cut order, M trainers.
"""

from __future__ import annotations

import heapq

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.graph.store import GraphStore


def deal(store: GraphStore, trainers: int, *, seed: int = 0, number: int = 0) -> list[np.ndarray]:
    """Blocks of each trainer, int64 ascending, every block dealt exactly once.

    Units (blocks; or whole parts, if the store's order is min-cut) are shuffled and each goes to
    the trainer with the fewest nodes so far, so that trainers differ by less than one unit.

    Raises UserError if there are fewer units than trainers.
    """
    units = deal_units(store)
    check_trainers(trainers, len(units), whole_parts=store.part_offsets is not None)
    if trainers == 1:
        return [np.arange(store.num_blocks)]
    rng = np.random.default_rng([seed, number, trainers])
    block_sizes = np.diff(store.block_offsets)
    hands: list[list[np.ndarray]] = [[] for _ in range(trainers)]
    load = [(0, place, trainer) for place, trainer in enumerate(rng.permutation(trainers))]
    heapq.heapify(load)
    for unit in rng.permutation(len(units)):
        nodes, place, trainer = heapq.heappop(load)
        hands[trainer].append(units[unit])
        heapq.heappush(load, (nodes + int(block_sizes[units[unit]].sum()), place, trainer))
    return [np.sort(np.concatenate(hand)) for hand in hands]


def check_trainers(trainers: int, num_units: int, *, whole_parts: bool) -> None:
    """Raises UserError if so many parts or blocks cannot be dealt to so many trainers."""
    if trainers < 1:
        raise UserError(f"{trainers} trainers asked for; there must be at least 1")
    if trainers > num_units:
        what = "parts" if whole_parts else "blocks"
        remedy = "more --parts" if whole_parts else "smaller --block-nodes"
        raise UserError(
            f"{trainers} trainers, but there are only {num_units} {what} to deal; use at most "
            f"{num_units} trainers, or partition with {remedy}"
        )


def deal_units(store: GraphStore) -> list[np.ndarray]:
    """Blocks that are dealt together: single ones, or those of a min-cut part."""
    if store.part_offsets is None:
        return [np.array([block]) for block in range(store.num_blocks)]
    return np.split(np.arange(store.num_blocks), store.part_offsets[1:-1])
