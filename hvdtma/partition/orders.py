"""Partition methods: each decides the order of node ids, and where its blocks may begin.

RandomTMA and SuperTMA are Zhu et al., arXiv 2305.09887, section 3; min-cut parts are the PSGD-PA
baseline of the same paper. Legend: N nodes, B blocks, U super-nodes, P parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hvdtma.graph.blocks import blocks_of_units, equal_blocks
from hvdtma.graph.csc import CSC
from hvdtma.partition.metis import metis_parts


@dataclass
class Order:
    """A renumbering: new node i is old node `nodes[i]`.

    Attributes:
        nodes: permutation int64 [N].
        block_offsets: int64 [B+1].
        part_offsets: int64 [P+1] first block of each part, if whole parts are dealt.
        attrs: what to say of it in the store.
    """

    nodes: np.ndarray
    block_offsets: np.ndarray
    part_offsets: np.ndarray | None = None
    attrs: dict = field(default_factory=dict)


def random_order(csc: CSC, block_nodes: int, *, seed: int) -> Order:
    """Every node anywhere (RandomTMA)."""
    nodes = np.random.default_rng(seed).permutation(csc.num_nodes)
    return Order(nodes, equal_blocks(csc.num_nodes, block_nodes))


def super_node_order(csc: CSC, block_nodes: int, *, seed: int, super_nodes: int) -> Order:
    """METIS super-nodes, shuffled, laid end to end (SuperTMA)."""
    cluster_N = metis_parts(csc, super_nodes, seed=seed)
    place_U = np.random.default_rng(seed).permutation(super_nodes)
    place_N = place_U[cluster_N]
    sizes = np.bincount(place_N, minlength=super_nodes)
    return Order(
        np.argsort(place_N, kind="stable"),
        blocks_of_units(sizes[sizes > 0], block_nodes),
        attrs={
            "super_nodes": super_nodes,
            "edges_in_super_nodes": share_within(csc, cluster_N),
        },
    )


def min_cut_order(csc: CSC, block_nodes: int, *, seed: int, parts: int) -> Order:
    """METIS parts, edges balanced, laid end to end (PSGD-PA); a deal gives whole parts."""
    part_N = metis_parts(csc, parts, seed=seed, balance="edges")
    sizes = np.bincount(part_N, minlength=parts)
    pieces = [equal_blocks(int(size), block_nodes)[:-1] for size in sizes[sizes > 0]]
    starts = np.cumsum(np.r_[0, sizes[sizes > 0]])
    offsets = np.concatenate([piece + start for piece, start in zip(pieces, starts, strict=False)])
    return Order(
        np.argsort(part_N, kind="stable"),
        np.append(offsets, csc.num_nodes),
        part_offsets=np.cumsum(np.r_[0, [len(piece) for piece in pieces]]),
        attrs={"parts": parts, "edges_in_parts": share_within(csc, part_N)},
    )


def share_within(csc: CSC, group_N: np.ndarray) -> float:
    """Share of edges whose two ends are in the same group."""
    kept = group_N[csc.indices] == group_N[csc.destinations()]
    return float(kept.mean()) if len(kept) else 1.0
