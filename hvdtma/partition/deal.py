"""Who gets which blocks: a pure function of (seed, deal number, trainers).

Legend: B blocks, P parts of a min-cut order, M trainers.
"""

from __future__ import annotations

import heapq

import numpy as np

from hvdtma.errors import UserError
from hvdtma.graph.store import GraphStore


def deal(store: GraphStore, trainers: int, *, seed: int = 0, number: int = 0) -> list[np.ndarray]:
    """Blocks of each trainer, int64 ascending, every block dealt exactly once.

    Units (blocks; or whole parts, if the store's order is min-cut) are shuffled and each goes to
    the trainer with the fewest nodes so far, so that trainers differ by less than one unit.

    Raises UserError if there are fewer units than trainers.
    """
    units = deal_units(store)
    if trainers > len(units):
        what = "parts" if store.part_offsets is not None else "blocks"
        more = "--parts" if store.part_offsets is not None else "--block-nodes (smaller)"
        raise UserError(
            f"{trainers} trainers, but {store.path} has only {len(units)} {what} to deal; "
            f"use at most {len(units)} trainers, or partition it again with other {more}"
        )
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


def deal_units(store: GraphStore) -> list[np.ndarray]:
    """Blocks that are dealt together: single ones, or those of a min-cut part."""
    if store.part_offsets is None:
        return [np.array([block]) for block in range(store.num_blocks)]
    return np.split(np.arange(store.num_blocks), store.part_offsets[1:-1])
