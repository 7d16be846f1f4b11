"""The disk space that a build will use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hvdtma.core.disk import check_disk_space
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.builder.budget import BuildSizes, bytes_for_keys
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.neighbour_means import group_file_bytes
from hvdtma.graph.sort.edge_sorter import KEY_BYTES, EdgeSorter, value_bytes

ID_BYTES = 8  # per node: an integer, or the offset of a string


def check_build_disk(path: Path, sizes: BuildSizes, memory: MemoryBudget) -> None:
    """Raise UserError if the disk of `path` has too little space for the build.

    An upper bound: merged repeated edges and compression are not taken into account.
    """
    remedy = "held-out links may need most of it: give fewer --negatives, or counts of links"
    check_disk_space(path, peak_bytes(sizes, memory), "built", remedy)


def peak_bytes(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """The peak disk usage of a build: keys, the complete store, or the first hop in progress.

    Files of shuffled features need no extra space: they are deleted before the arrays that follow
    are written.
    """
    arrays = store_bytes(sizes)
    with_first_hop = sum(arrays.values()) - arrays["node_id"] - arrays["label"]
    scratch = first_hop_scratch(sizes, memory)
    return max(key_scratch(sizes, memory), sum(arrays.values()), with_first_hop + scratch)


def build_scratch_bytes(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """The peak size of temporary files."""
    return max(key_scratch(sizes, memory), first_hop_scratch(sizes, memory))


def key_scratch(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """The size of the keys on disk while edges are sorted; 0 if they fit in memory.

    Before, a split by time writes the pairs with their times.
    """
    key_bytes = (KEY_BYTES + sizes.weight_bytes) * sizes.num_keys
    memory_bytes = bytes_for_keys(sizes.available_to_sort(memory))
    keys = key_bytes if key_bytes > EdgeSorter.bytes_of_keys(memory_bytes) else 0
    pairs = (KEY_BYTES + value_bytes("time")) * sizes.num_edges * sizes.links_by_time
    return max(keys, pairs)


def first_hop_scratch(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """The size of the files with groups of columns of the first hop; 0 if there is one group."""
    if not sizes.options.first_hop:
        return 0
    memory_bytes, itemsize = sizes.available_for_first_hop(memory), sizes.feature_bytes
    return group_file_bytes(sizes.num_nodes, sizes.feature_dim, itemsize, itemsize, memory_bytes)


def store_bytes(sizes: BuildSizes) -> dict[str, int]:
    """The size of the store's arrays by name, an upper bound; without the text of string ids."""
    arrays = array_bytes(
        num_nodes=sizes.num_nodes,
        num_edges=sizes.num_keys,
        feature_dim=sizes.feature_dim,
        feature_bytes=sizes.feature_bytes,
        first_hop=sizes.options.first_hop,
        typed=sizes.typed,
        weighted=sizes.weighted,
        label_row_bytes=sizes.label_row_bytes * sizes.labelled,
        held_out=sizes.held_out,
        candidate_bytes=sizes.candidate_row_bytes,
        projection_bytes=sizes.projection_bytes,
    )
    return arrays | sizes.typed_bytes


def array_bytes(
    *,
    num_nodes: int,
    num_edges: int,
    feature_dim: int,
    feature_bytes: int,
    hop_dim: int | None = None,
    first_hop: bool = True,
    typed: bool = False,
    weighted: bool = False,
    label_row_bytes: int = 0,
    held_out: Mapping[str, tuple[int, int]],
    candidate_bytes: int = 0,
    projection_bytes: int = 0,
) -> dict[str, int]:
    """The size of a store's arrays by name, before compression.

    Args:
        num_edges: stored edges; an undirected link counts twice.
        feature_bytes: the size of one feature.
        hop_dim: values of the first hop per node; None: `feature_dim`.
        label_row_bytes: the size of a node's label; 0 without labels.
        held_out: for each part the number of links, and of negatives per link.
        candidate_bytes: per node, for the sets of candidates.
        projection_bytes: of features that are reduced or made from the graph.
    """
    index_bytes = np.dtype(index_dtype(num_nodes)).itemsize
    links = sum(number for number, _ in held_out.values())
    return {
        "indptr": 8 * (num_nodes + 1),
        "indices": index_bytes * num_edges,
        "edge_type": 2 * num_edges * typed,
        "weight": 4 * num_edges * weighted,
        "in_weight": 8 * num_nodes * weighted,
        "feat": feature_bytes * num_nodes * feature_dim,
        "projection": projection_bytes,
        "first_hop": feature_bytes * num_nodes * (hop_dim or feature_dim) * first_hop,
        "label": label_row_bytes * num_nodes,
        "candidates": candidate_bytes * num_nodes,
        "node_id": ID_BYTES * num_nodes,
        "split ends": 16 * links,
        "split negatives": index_bytes * sum(n * each for n, each in held_out.values()),
    }
