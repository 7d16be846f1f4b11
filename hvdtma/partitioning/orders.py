"""Orders of nodes, from groups of nodes.

RandomTMA and SuperTMA are described in Zhu et al., arXiv 2305.09887, section 3; min-cut parts are
the baseline PSGD-PA of the same paper.

Legend: N nodes, B blocks, G groups (super-nodes or parts).
"""

from __future__ import annotations

import numpy as np

from hvdtma.core.compiled import njit
from hvdtma.graph.blocks import blocks_of_units, equal_blocks
from hvdtma.graph.csc import index_dtype
from hvdtma.partitioning.method import Order


def random_order(num_nodes: int, block_nodes: int, *, seed: int) -> Order:
    """A random order of all nodes (RandomTMA)."""
    nodes: np.ndarray = np.arange(num_nodes, dtype=index_dtype(num_nodes))
    np.random.default_rng(seed).shuffle(nodes)
    return Order(nodes, equal_blocks(num_nodes, block_nodes), block_nodes=block_nodes)


def super_node_order(
    cluster_N: np.ndarray, super_nodes: int, block_nodes: int, *, seed: int
) -> Order:
    """Super-nodes 0 .. G-1 in random order (SuperTMA)."""
    place_G = np.random.default_rng(seed).permutation(super_nodes).astype(cluster_N.dtype)
    nodes, sizes = _by_group(cluster_N, place_G)
    return Order(
        nodes,
        blocks_of_units(sizes[sizes > 0], block_nodes),
        attrs={"super_nodes": super_nodes},
    )


def min_cut_order(part_N: np.ndarray, parts: int, block_nodes: int) -> Order:
    """Parts 0 .. G-1 one after the other, to be assigned as a whole (PSGD-PA)."""
    nodes, sizes = _by_group(part_N, np.arange(parts, dtype=part_N.dtype))
    sizes = sizes[sizes > 0]
    starts = np.cumsum(sizes) - sizes
    blocks_of = [equal_blocks(int(size), block_nodes)[:-1] for size in sizes]
    offsets = np.concatenate(
        [first + start for first, start in zip(blocks_of, starts, strict=True)]
    )
    return Order(
        nodes,
        np.append(offsets, len(part_N)),
        part_offsets=np.cumsum(np.r_[0, [len(blocks) for blocks in blocks_of]]),
        attrs={"parts": parts},
    )


@njit()
def _by_group(group_N: np.ndarray, place_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ordered by the place of their group, ascending within a group; and sizes by place.

    A counting sort. Unlike a stable argsort, it takes no memory beyond its result.
    """
    sizes = np.zeros(len(place_G), np.int64)
    for group in group_N:
        sizes[place_G[group]] += 1
    next_position = np.cumsum(sizes) - sizes
    nodes = np.empty_like(group_N)
    for node in range(len(group_N)):
        place = place_G[group_N[node]]
        nodes[next_position[place]] = node
        next_position[place] += 1
    return nodes, sizes
