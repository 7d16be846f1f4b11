"""Which nodes belong together: METIS where it fits in memory, else clustering from disk.

Legend: N nodes, E edges, G groups.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.core.console import progress, stage
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.sort.batches import EDGES_PER_BATCH
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import edge_batches
from hvdtma.partitioning.metis import metis_bytes, metis_parts
from hvdtma.partitioning.streaming import least_to_stream, streaming_groups

CLUSTERERS = ("auto", "metis", "streaming")


def groups(
    store: GraphStore,
    num_groups: int,
    *,
    seed: int,
    balance: str,
    clusterer: str,
    memory: MemoryBudget,
    folder: Path,
) -> tuple[np.ndarray, str]:
    """Group int32|int64 [N] of every node, and the clusterer that made them.

    Args:
        balance: `nodes` or `edges`, of which groups have about equally many.
        clusterer: `auto` takes METIS where it fits in `memory`.
        folder: for what the streaming clusterer writes.

    Raises UserError for too little memory, for METIS where it is asked for by name.
    """
    if not _takes_metis(store, clusterer, memory):
        found = streaming_groups(
            store, num_groups, seed=seed, balance=balance, memory=memory, folder=folder
        )
        return found, "streaming"
    memory.available(
        metis_needs(store), f"METIS (--clusterer streaming needs less) on {store.path}"
    )
    with stage(f"METIS on {store.num_nodes:,} nodes, {store.num_edges:,} edges"):
        csc = store.rows(0, store.num_nodes)
        found = metis_parts(csc, num_groups, seed=seed, balance=balance)
    return found.astype(index_dtype(store.num_nodes)), "metis"


def _takes_metis(store: GraphStore, clusterer: str, memory: MemoryBudget) -> bool:
    return clusterer == "metis" or (clusterer == "auto" and metis_fits(store, memory))


def least_to_group(store: GraphStore, clusterer: str, memory: MemoryBudget) -> int:
    """The least bytes that the clusterer takes which `groups` would choose."""
    metis = _takes_metis(store, clusterer, memory)
    return metis_needs(store) if metis else least_to_stream(store)


def metis_fits(store: GraphStore, memory: MemoryBudget) -> bool:
    """Whether METIS can have the whole graph."""
    return memory.fits(metis_needs(store))


def metis_needs(store: GraphStore) -> int:
    """Bytes METIS takes for the graph, edges of a directed one counted both ways."""
    return metis_bytes(store.num_nodes, store.num_edges * (2 - store.undirected))


def share_within(store: GraphStore, group_N: np.ndarray) -> float:
    """Share of edges whose two ends are in the same group; goes through the edges once."""
    within = 0
    with progress("counting edges in groups", store.num_edges, "edges") as advance:
        pieces = edge_batches(store, EDGES_PER_BATCH // 4)
        for src, dst, _ in map_in_order(lambda make: make(), pieces, num_workers()):
            within += _within(src, dst, group_N)
            advance(len(src))
    return within / store.num_edges if store.num_edges else 1.0


@njit(nogil=True)
def _within(src_e: np.ndarray, dst_e: np.ndarray, group_N: np.ndarray) -> int:
    count = 0
    for edge in range(len(src_e)):
        count += group_N[src_e[edge]] == group_N[dst_e[edge]]
    return count
