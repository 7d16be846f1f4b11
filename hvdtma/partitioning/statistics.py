"""Statistics of an assignment: shard sizes, edges kept, and distance from the whole graph.

The store is read in pieces. Memory holds 2 bytes per node. Without labels METIS finds communities,
if the whole graph fits in memory.

Legend: N nodes, B blocks, M trainers, D features, C classes or communities, n nodes and e edges of
a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from hvdtma.core.compiled import njit
from hvdtma.core.console import progress
from hvdtma.core.memory import MemoryBudget
from hvdtma.core.threads import map_in_order, num_workers
from hvdtma.graph.label_statistics import stored_labels
from hvdtma.graph.sort.batches import EDGES_PER_BATCH
from hvdtma.graph.store import GraphStore
from hvdtma.graph.stream import array_pieces, edge_batches
from hvdtma.partitioning.assignment import assign_blocks
from hvdtma.partitioning.groups import metis_fits
from hvdtma.partitioning.metis import metis_parts

COMMUNITIES = 32  # METIS parts that are used if there are no labels
TRAINER_BYTES = 2  # per node: the trainer that it is assigned to
PIECE_BYTES = 2 << 20  # of features per read; float64 copies take several times as much


@dataclass(frozen=True)
class TrainerStatistics:
    """One trainer's part of an assignment.

    Attributes:
        nodes, edges: size of the shard.
        edges_kept: the shard's edges as a share of all edges into its nodes.
        imbalance: total variation distance, in [0, 1], between the distributions of labels (or
            communities) in the shard and in the whole graph; NaN if neither is known.
        feature_discrepancy: distance between the feature means of the shard and of the whole
            graph, in standard deviations (root mean square over features).
    """

    trainer: int
    nodes: int
    edges: int
    edges_kept: float
    imbalance: float
    feature_discrepancy: float


@dataclass(frozen=True)
class AssignmentStatistics:
    """Statistics of an assignment.

    Attributes:
        edges_kept: share of all edges that are within a shard.
        imbalance_of: "labels", "communities" or "node types".
    """

    trainers: list[TrainerStatistics]
    edges_kept: float
    imbalance_of: str


def assignment_statistics(
    store: GraphStore,
    trainers: int,
    *,
    seed: int = 0,
    number: int = 0,
    memory_gb: float | None = None,
) -> AssignmentStatistics:
    """Statistics of one assignment. Reads the whole store once.

    If there are neither labels nor enough memory for METIS to find communities, `imbalance` is NaN.

    Args:
        number: number of the assignment, from 0.
        memory_gb: memory limit in GiB; None: half of the free memory.

    Raises UserError if the memory limit is too small.
    """
    memory = MemoryBudget.limit(memory_gb)
    memory.available(TRAINER_BYTES * store.num_nodes, "describing an assignment")
    trainer_N = _trainer_of_nodes(store, assign_blocks(store, trainers, seed=seed, number=number))
    into_M, kept_M = _count_edges(store, trainer_N, trainers)
    counts_MC, imbalance_of = _count_groups(store, trainer_N, trainers, seed, memory)
    distance_M = _total_variation(counts_MC)
    discrepancy_M = _feature_discrepancy(store, trainer_N, trainers)
    nodes_M = np.bincount(trainer_N, minlength=trainers)
    parts = [
        TrainerStatistics(
            trainer=k,
            nodes=int(nodes_M[k]),
            edges=int(kept_M[k]),
            edges_kept=float(kept_M[k] / max(into_M[k], 1)),
            imbalance=float(distance_M[k]),
            feature_discrepancy=float(discrepancy_M[k]),
        )
        for k in range(trainers)
    ]
    return AssignmentStatistics(parts, float(kept_M.sum() / max(store.num_edges, 1)), imbalance_of)


def _trainer_of_nodes(store: GraphStore, blocks_of: list[np.ndarray]) -> np.ndarray:
    """The trainer of each node, int16 [N]."""
    trainer_B = np.empty(store.num_blocks, np.int16)
    for trainer, blocks in enumerate(blocks_of):
        trainer_B[blocks] = trainer
    return np.repeat(trainer_B, np.diff(store.block_offsets))


def _count_edges(
    store: GraphStore, trainer_N: np.ndarray, trainers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Number of edges into each trainer's nodes [M], and of edges within its shard [M]."""
    into_M, kept_M = np.zeros(trainers, np.int64), np.zeros(trainers, np.int64)
    with progress("counting edges kept", store.num_edges, "edges") as advance:
        pieces = edge_batches(store, EDGES_PER_BATCH // 4)
        for edges in map_in_order(lambda make: make(), pieces, num_workers()):
            _add_edges(edges.src, edges.dst, trainer_N, into_M, kept_M)
            advance(len(edges.src))
    return into_M, kept_M


@njit(nogil=True)
def _add_edges(
    src_e: np.ndarray,
    dst_e: np.ndarray,
    trainer_N: np.ndarray,
    into_M: np.ndarray,
    kept_M: np.ndarray,
) -> None:
    for edge in range(len(src_e)):
        trainer = trainer_N[dst_e[edge]]
        into_M[trainer] += 1
        kept_M[trainer] += trainer_N[src_e[edge]] == trainer


def _count_groups(
    store: GraphStore, trainer_N: np.ndarray, trainers: int, seed: int, memory: MemoryBudget
) -> tuple[np.ndarray, str]:
    """Each trainer's nodes by label or community, int64 [M, C]; and the name of the grouping."""
    if store.schema is not None:
        num_groups, name = len(store.schema.node_types), "node types"
        pieces: Iterable[np.ndarray] = store.layout.type_pieces()
    elif "label" in store and store.label_kind == "multi":
        return _count_labels(store, trainer_N, trainers), "labels"
    elif "label" in store:
        num_groups, pieces = _label_groups(store)
        name = "labels"
    elif metis_fits(store, memory):
        num_groups = min(COMMUNITIES, store.num_nodes)
        pieces = [metis_parts(store.rows(0, store.num_nodes), num_groups, seed=seed)]
        name = "communities"
    else:
        return np.zeros((trainers, 0)), "communities (left out: METIS needs more memory)"
    counts_MC, start = np.zeros(trainers * num_groups, np.int64), 0
    for group_n in pieces:
        trainer_n = trainer_N[start : start + len(group_n)].astype(np.int64)
        counts_MC += np.bincount(trainer_n * num_groups + group_n, minlength=len(counts_MC))
        start += len(group_n)
    return counts_MC.reshape(trainers, num_groups), name


def _label_groups(store: GraphStore) -> tuple[int, Iterable[np.ndarray]]:
    """The number of groups by label, and the group of each node in pieces; group 0: no label.

    Real numbers are grouped by the first target: in halves of a standard deviation.
    """
    labels = array_pieces(store, "label")
    if store.label_kind == "class":
        return len(store.label_names) + 1, (label_n + 1 for label_n in labels)
    whole = stored_labels(store)
    edges = whole.mean_C[0] + whole.deviation[0] * np.arange(-2, 2.5, 0.5)
    groups = (np.digitize(label_nT[:, 0], edges) + 1 for label_nT in labels)
    known = (~np.isnan(label_nT[:, 0]) for label_nT in array_pieces(store, "label"))
    return len(edges) + 2, (g * k for g, k in zip(groups, known, strict=True))


def _count_labels(store: GraphStore, trainer_N: np.ndarray, trainers: int) -> np.ndarray:
    """How often each label occurs among each trainer's nodes, int64 [M, C]."""
    counts_MC = np.zeros((trainers, len(store.label_names)), np.int64)
    start = 0
    for label_nC in array_pieces(store, "label", PIECE_BYTES):
        nodes = np.arange(len(label_nC))
        ones_at = (np.ones(len(nodes), np.int64), (trainer_N[start + nodes], nodes))
        counts_MC += sp.csr_array(ones_at, shape=(trainers, len(nodes))) @ (label_nC == 1)
        start += len(nodes)
    return counts_MC


def _total_variation(counts_MC: np.ndarray) -> np.ndarray:
    """Distances [M] from the distribution in the whole graph; NaN without groups."""
    if not counts_MC.size:
        return np.full(len(counts_MC), np.nan)
    whole_C = counts_MC.sum(0) / max(counts_MC.sum(), 1)
    share_MC = counts_MC / np.maximum(counts_MC.sum(1, keepdims=True), 1)
    return np.abs(share_MC - whole_C).sum(1) / 2


def _feature_discrepancy(store: GraphStore, trainer_N: np.ndarray, trainers: int) -> np.ndarray:
    """Distances [M] of feature means from the mean of the whole graph."""
    schema, distances = store.schema, []
    with progress("feature means", store.num_nodes, "nodes") as advance:
        if schema is None:
            distances.append(_distances(store, "feat", trainer_N, trainers, advance))
        else:
            for number, size in enumerate(schema.sizes):
                trainer_n = trainer_N[store.layout.nodes(number, np.arange(size))]
                name = f"feat/{number}"
                distances.append(_distances(store, name, trainer_n, trainers, advance))
    return np.sqrt((np.concatenate(distances, axis=1) ** 2).mean(1))


def _distances(
    store: GraphStore,
    name: str,
    trainer_n: np.ndarray,
    trainers: int,
    advance: Callable[[int], None],
) -> np.ndarray:
    """[M, D] for the rows [n, D] of an array, in standard deviations."""
    dim = store.array(name).shape[1]
    total_MD, square_D, start = np.zeros((trainers, dim)), np.zeros(dim), 0
    for feat_nD in array_pieces(store, name, PIECE_BYTES):
        feat_nD, rows = feat_nD.astype(np.float64), len(feat_nD)
        ones_at = (np.ones(rows), (trainer_n[start : start + rows], np.arange(rows)))
        total_MD += sp.csr_array(ones_at, shape=(trainers, rows)) @ feat_nD
        square_D += (feat_nD**2).sum(0)
        start += rows
        advance(rows)
    count_M = np.maximum(np.bincount(trainer_n, minlength=trainers), 1)
    mean_D = total_MD.sum(0) / max(len(trainer_n), 1)
    std_D = np.sqrt(np.maximum(square_D / max(len(trainer_n), 1) - mean_D**2, 1e-12))
    return (total_MD / count_M[:, None] - mean_D) / std_D
