"""What a build will take of the disk, before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hvdtma.graph.build.options import BuildOptions
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.external.disk import refuse_full_disk
from hvdtma.graph.external.sorting import KEY_BYTES
from hvdtma.graph.raw import Source

ID_BYTES = 8  # of an integer, or of a string's offset


def refuse_too_large(path: Path, source: Source, options: BuildOptions, room: int) -> None:
    """Raises UserError if the disk of `path` has not the bytes that building needs.

    `room` bytes of memory hold keys before they go to the disk. Repeated edges, which are merged,
    and compression are not foreseen: less may be needed.
    """
    num_keys = source.num_edges * (1 + source.undirected)
    needed = max(scratch_bytes(num_keys, room), store_bytes(source, options))
    remedy = "fewer --negatives, or --valid and --test as counts, may be what takes the most"
    refuse_full_disk(path, needed, "built", remedy)


def scratch_bytes(num_keys: int, room: int) -> int:
    """Keys on disk while edges are sorted: none if they fit in `room` bytes of memory."""
    key_bytes = KEY_BYTES * num_keys
    return key_bytes if key_bytes > room else 0


def held_out_links(options: BuildOptions, num_edges: int) -> dict[str, tuple[int, int]]:
    """About how many of `num_edges` links are held out by part, and the negatives of each."""
    if options.hold_out != "links":
        return {}
    sizes = {"valid": options.valid, "test": options.test}
    return {
        part: (int(size * num_edges if size < 1 else size), options.negatives)
        for part, size in sizes.items()
    }


def store_bytes(source: Source, options: BuildOptions) -> int:
    """The store, at most, without its users' ids if they are strings.

    Features that are put in order on disk take no more there than they and what is written after
    them take in the store; their files are gone by then.
    """
    dim = source.feat.shape[1] if source.feat is not None else 128
    if options.feature_dim:
        dim = min(dim, options.feature_dim)
    given = source.link_split is not None
    arrays = array_bytes(
        num_nodes=source.num_nodes,
        num_edges=source.num_edges * (1 + source.undirected),
        feature_dim=dim,
        feature_bytes=np.dtype(options.feature_dtype).itemsize,
        first_hop=options.first_hop,
        typed=bool(source.edge_type_names),
        held_out={} if given else held_out_links(options, source.num_edges),
    )
    return sum(arrays.values())


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
