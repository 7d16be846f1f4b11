"""What a build will take of the disk, before it begins."""

from __future__ import annotations

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
    needed = max(scratch_bytes(source, room), store_bytes(source, options))
    remedy = "fewer --negatives, or --valid and --test as counts, may be what takes the most"
    refuse_full_disk(path, needed, "built", remedy)


def scratch_bytes(source: Source, room: int) -> int:
    """Keys on disk while edges are sorted: none if they fit in `room` bytes of memory."""
    key_bytes = KEY_BYTES * source.num_edges * (1 + source.undirected)
    return key_bytes if key_bytes > room else 0


def store_bytes(source: Source, options: BuildOptions) -> int:
    """The store, at most, without its users' ids if they are strings.

    Features that are put in order on disk take no more there than they and what is written after
    them take in the store; their files are gone by then.
    """
    index_bytes = np.dtype(index_dtype(source.num_nodes)).itemsize
    edge_bytes = index_bytes + 2 * bool(source.edge_type_names)
    dim = source.feat.shape[1] if source.feat is not None else 128
    if options.feature_dim:
        dim = min(dim, options.feature_dim)
    row_bytes = dim * np.dtype(options.feature_dtype).itemsize * (1 + options.first_hop)
    links = 0
    if options.hold_out == "links" and source.link_split is None:
        sizes = (options.valid, options.test)
        links = sum(int(size * source.num_edges if size < 1 else size) for size in sizes)
    return (
        source.num_edges * (1 + source.undirected) * edge_bytes
        + source.num_nodes * (row_bytes + 8 + ID_BYTES)
        + links * (16 + options.negatives * index_bytes)
    )
