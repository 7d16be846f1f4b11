"""What a deal gives each trainer: sizes, edges kept, and how far it is from the whole graph.

Legend: N nodes, B blocks, M trainers, D features, C classes or communities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.graph.csc import CSC
from hvdtma.graph.store import GraphStore
from hvdtma.partition.deal import deal
from hvdtma.partition.metis import metis_parts

COMMUNITIES = 32  # METIS parts that stand in for labels where there are none


@dataclass(frozen=True)
class HandStatistics:
    """One trainer's hand of a deal.

    Attributes:
        nodes, edges: of the shard.
        edges_kept: its edges as a share of all edges into its nodes.
        imbalance: total variation distance, in [0, 1], between its labels (or communities) and
            the whole graph's.
        feature_discrepancy: distance of its feature mean from the whole graph's, in units of the
            features' standard deviation (root mean square over features).
    """

    trainer: int
    nodes: int
    edges: int
    edges_kept: float
    imbalance: float
    feature_discrepancy: float


@dataclass(frozen=True)
class DealStatistics:
    """A deal: its trainers' hands, and the share of all edges that some trainer sees."""

    hands: list[HandStatistics]
    edges_kept: float
    imbalance_of: str


def deal_statistics(
    store: GraphStore, trainers: int, *, seed: int = 0, number: int = 0
) -> DealStatistics:
    """Statistics of one deal; reads the whole store once."""
    csc = store.rows(0, store.num_nodes)
    hand_N = _hand_of_nodes(store, deal(store, trainers, seed=seed, number=number))
    into_M, kept_M = _edges(csc, hand_N, trainers)
    group_N, imbalance_of = _groups(store, csc, seed)
    distance_M = _total_variation(group_N, hand_N, trainers)
    gap_M = _feature_gap(store, hand_N, trainers)
    hands = [
        HandStatistics(
            trainer=k,
            nodes=int((hand_N == k).sum()),
            edges=int(kept_M[k]),
            edges_kept=float(kept_M[k] / max(into_M[k], 1)),
            imbalance=float(distance_M[k]),
            feature_discrepancy=float(gap_M[k]),
        )
        for k in range(trainers)
    ]
    return DealStatistics(hands, float(kept_M.sum() / max(csc.num_edges, 1)), imbalance_of)


def _hand_of_nodes(store: GraphStore, hands: list[np.ndarray]) -> np.ndarray:
    """Which trainer each node is dealt to, int16 [N]."""
    hand_B = np.empty(store.num_blocks, np.int16)
    for trainer, blocks in enumerate(hands):
        hand_B[blocks] = trainer
    return np.repeat(hand_B, np.diff(store.block_offsets))


def _edges(csc: CSC, hand_N: np.ndarray, trainers: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges into each trainer's nodes, and those of them that also begin there."""
    hand_of_dst_E = np.repeat(hand_N, np.diff(csc.indptr))
    kept_E = hand_N[csc.indices] == hand_of_dst_E
    into = np.bincount(hand_of_dst_E, minlength=trainers)
    return into, np.bincount(hand_of_dst_E[kept_E], minlength=trainers)


def _groups(store: GraphStore, csc: CSC, seed: int) -> tuple[np.ndarray, str]:
    if "label" in store:
        return store.read("label") + 1, "labels"  # -1, unknown, becomes a group of its own
    return metis_parts(csc, min(COMMUNITIES, store.num_nodes), seed=seed), "communities"


def _total_variation(group_N: np.ndarray, hand_N: np.ndarray, trainers: int) -> np.ndarray:
    counts_MC = np.zeros((trainers, int(group_N.max()) + 1))
    np.add.at(counts_MC, (hand_N, group_N), 1)
    whole_C = counts_MC.sum(0) / counts_MC.sum()
    share_MC = counts_MC / counts_MC.sum(1, keepdims=True)
    return np.abs(share_MC - whole_C).sum(1) / 2


def _feature_gap(store: GraphStore, hand_N: np.ndarray, trainers: int) -> np.ndarray:
    """Distances [M], streaming over blocks."""
    total_MD = np.zeros((trainers, store.feature_dim))
    square_D = np.zeros(store.feature_dim)
    for start, stop in zip(store.block_offsets[:-1], store.block_offsets[1:], strict=True):
        feat_bD = store.read("feat", start, stop).astype(np.float64)
        total_MD[hand_N[start]] += feat_bD.sum(0)
        square_D += (feat_bD**2).sum(0)
    count_M = np.bincount(hand_N, minlength=trainers)
    mean_D = total_MD.sum(0) / store.num_nodes
    std_D = np.sqrt(np.maximum(square_D / store.num_nodes - mean_D**2, 1e-12))
    gap_MD = (total_MD / count_M[:, None] - mean_D) / std_D
    return np.sqrt((gap_MD**2).mean(1))
