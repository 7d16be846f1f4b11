"""What a build will take of the disk, before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hvdtma.core.disk import refuse_full_disk
from hvdtma.core.memory import MemoryBudget
from hvdtma.graph.builder.sizes import BuildSizes, room_for_keys
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.neighbour_means import waiting_bytes
from hvdtma.graph.sort.edge_sorter import KEY_BYTES, EdgeSorter

ID_BYTES = 8  # of an integer, or of a string's offset


def refuse_too_large(path: Path, sizes: BuildSizes, memory: MemoryBudget) -> None:
    """Raises UserError if the disk of `path` has not the bytes that building needs.

    Repeated edges, which are merged, and compression are not foreseen: less may be needed.
    """
    remedy = "fewer --negatives, or --valid and --test as counts, may be what takes the most"
    refuse_full_disk(path, peak_bytes(sizes, memory), "built", remedy)


def peak_bytes(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """The most that stands on disk at any time: keys, the store, or the first hop as it is made.

    Features that are put in order on disk take no more there than they and what is written after
    them take in the store; their files are gone by then.
    """
    arrays = store_bytes(sizes)
    before_ids = sum(arrays.values()) - arrays["node_id"] - arrays["label"]
    scratch = first_hop_scratch(sizes, memory)
    return max(key_scratch(sizes, memory), sum(arrays.values()), before_ids + scratch)


def scratch_beside(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """The most that stands on disk at any time and is no part of the store."""
    return max(key_scratch(sizes, memory), first_hop_scratch(sizes, memory))


def key_scratch(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """Keys on disk while edges are sorted: none if they fit in memory."""
    key_bytes = KEY_BYTES * sizes.num_keys
    room = room_for_keys(sizes.room_to_sort(memory))
    return key_bytes if key_bytes > EdgeSorter.bytes_of_keys(room) else 0


def first_hop_scratch(sizes: BuildSizes, memory: MemoryBudget) -> int:
    """Columns of the first hop that wait on disk for the last of them: none if all fit at once."""
    if not sizes.options.first_hop:
        return 0
    room, itemsize = sizes.room_for_first_hop(memory), sizes.feature_bytes
    return waiting_bytes(sizes.num_nodes, sizes.feature_dim, itemsize, itemsize, room)


def store_bytes(sizes: BuildSizes) -> dict[str, int]:
    """The store's arrays, at most; of ids that are strings only where they begin."""
    return array_bytes(
        num_nodes=sizes.num_nodes,
        num_edges=sizes.num_keys,
        feature_dim=sizes.feature_dim,
        feature_bytes=sizes.feature_bytes,
        first_hop=sizes.options.first_hop,
        typed=sizes.typed,
        labelled=sizes.labelled,
        held_out=sizes.held_out,
    )


def array_bytes(
    *,
    num_nodes: int,
    num_edges: int,
    feature_dim: int,
    feature_bytes: int,
    first_hop: bool = True,
    typed: bool = False,
    labelled: bool = False,
    held_out: Mapping[str, tuple[int, int]],
) -> dict[str, int]:
    """Bytes of a store's arrays by name, before they are compressed.

    Args:
        num_edges: of the training graph, both directions of an undirected one.
        feature_bytes: of one feature.
        held_out: links by part, and the negatives of each.
    """
    index_bytes = np.dtype(index_dtype(num_nodes)).itemsize
    links = sum(number for number, _ in held_out.values())
    return {
        "indptr": 8 * (num_nodes + 1),
        "indices": index_bytes * num_edges,
        "edge_type": 2 * num_edges * typed,
        "feat": feature_bytes * num_nodes * feature_dim,
        "first_hop": feature_bytes * num_nodes * feature_dim * first_hop,
        "label": 8 * num_nodes * labelled,
        "node_id": ID_BYTES * num_nodes,
        "split ends": 16 * links,
        "split negatives": index_bytes * sum(n * each for n, each in held_out.values()),
    }
