"""Groups of nodes with few edges between them: METIS if it fits in memory, else streaming.

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
from hvdtma.partitioning.streaming import min_streaming_bytes, streaming_groups

CLUSTERERS = ("auto", "metis", "streaming")


def group_nodes(
    store: GraphStore,
    num_groups: int,
    *,
    seed: int,
    balance: str,
    clusterer: str,
    memory: MemoryBudget,
    folder: Path,
) -> tuple[np.ndarray, str]:
    """The group of every node int32|int64 [N], and the name of the clusterer that was used.

    Args:
        balance: groups have about equal numbers of `nodes` or `edges`.
        clusterer: `metis`, `streaming`, or `auto`, which takes METIS if it fits in `memory`.
        folder: for scratch files of the streaming clusterer.

    Raises UserError if `memory` is too small for the clusterer.
    """
    if not _takes_metis(store, clusterer, memory):
        group_N = streaming_groups(
            store, num_groups, seed=seed, balance=balance, memory=memory, folder=folder
        )
        return group_N, "streaming"
    memory.available(
        required_metis_bytes(store), f"METIS (--clusterer streaming needs less) on {store.path}"
    )
    with stage(f"METIS on {store.num_nodes:,} nodes, {store.num_edges:,} edges"):
        csc = store.rows(0, store.num_nodes)
        group_N = metis_parts(csc, num_groups, seed=seed, balance=balance)
    return group_N.astype(index_dtype(store.num_nodes)), "metis"


def _takes_metis(store: GraphStore, clusterer: str, memory: MemoryBudget) -> bool:
    return clusterer == "metis" or (clusterer == "auto" and metis_fits(store, memory))


def min_grouping_bytes(store: GraphStore, clusterer: str, memory: MemoryBudget) -> int:
    """The least memory, in bytes, of the clusterer that `group_nodes` would choose."""
    metis = _takes_metis(store, clusterer, memory)
    return required_metis_bytes(store) if metis else min_streaming_bytes(store)


def metis_fits(store: GraphStore, memory: MemoryBudget) -> bool:
    """Whether METIS on the whole graph fits in memory."""
    return memory.fits(required_metis_bytes(store))


def required_metis_bytes(store: GraphStore) -> int:
    """Bytes that METIS takes for the graph. Edges of a directed graph count in both directions."""
    return metis_bytes(store.num_nodes, store.num_edges * (2 - store.undirected))


def share_of_edges_within(store: GraphStore, group_N: np.ndarray) -> float:
    """Share of edges with both ends in the same group. Reads all edges once."""
    within = 0
    with progress("counting edges in groups", store.num_edges, "edges") as advance:
        pieces = edge_batches(store, EDGES_PER_BATCH // 4)
        for edges in map_in_order(lambda make: make(), pieces, num_workers()):
            within += _within(edges.src, edges.dst, group_N)
            advance(len(edges.src))
    return within / store.num_edges if store.num_edges else 1.0


@njit(nogil=True)
def _within(src_e: np.ndarray, dst_e: np.ndarray, group_N: np.ndarray) -> int:
    count = 0
    for edge in range(len(src_e)):
        count += group_N[src_e[edge]] == group_N[dst_e[edge]]
    return count
