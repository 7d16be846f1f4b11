"""The size of a store on disk.

The compression ratio of each array is that of a sample with a similar distribution of values,
compressed by the codec that writes the array.
"""

from __future__ import annotations

import numpy as np
import zarr

from hvdtma.graph.builder.disk import array_bytes
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.describe import disk_bytes
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.targets import stored_dtype
from hvdtma.storage.array_writer import codecs_of

SAMPLE = 1 << 18  # values; a chunk of edges


def bytes_on_disk(sizes: GraphSizes) -> int:
    """The size of the store: of its files if it exists, else the expected size."""
    if sizes.path.exists():
        return disk_bytes(sizes.path)
    arrays = array_bytes(
        num_nodes=sizes.num_nodes,
        num_edges=sizes.num_edges,
        feature_dim=sizes.feature_dim,
        feature_bytes=sizes.feature_dtype.itemsize,
        hop_dim=sizes.hop_dim,
        first_hop="first_hop" in sizes,
        typed=bool(sizes.edge_type_names),
        weighted="weight" in sizes,
        label_row_bytes=sizes.label_row_bytes,
        held_out=sizes.held_out,
        candidate_bytes=sizes.candidate_rules.row_bytes,
    )
    ratios = compression_ratios(sizes)
    return int(sum(size * ratios.get(name, 1.0) for name, size in arrays.items()))


def compression_ratios(sizes: GraphSizes) -> dict[str, float]:
    """For each array of integers, the compressed size as a share of the original one."""
    rng = np.random.default_rng(0)
    nodes = sizes.num_nodes
    kind = index_dtype(nodes)
    degree = rng.poisson(sizes.mean_degree, SAMPLE)
    row = np.repeat(np.arange(len(degree)), degree)[:SAMPLE]
    sources = rng.integers(0, nodes, len(row))
    ends = rng.integers(0, nodes, SAMPLE)
    samples = {
        "indptr": np.cumsum(degree),
        "indices": sources[np.lexsort((sources, row))].astype(kind),
        "label": _labels(sizes, rng),
        "node_id": ends,
        "split ends": ends,
        "split negatives": ends.astype(kind),
    }
    return {name: _compression_ratio(values) for name, values in samples.items()}


def _labels(sizes: GraphSizes, rng: np.random.Generator) -> np.ndarray:
    """Labels of the kind, as if every class were as frequent; real numbers hardly shrink."""
    if sizes.label_kind == "real":
        return rng.random(SAMPLE)
    most = 2 if sizes.label_kind == "multi" else max(len(sizes.label_names), 1)
    return rng.integers(0, most, SAMPLE).astype(stored_dtype(sizes.label_kind))


def _compression_ratio(values: np.ndarray) -> float:
    if not len(values):
        return 1.0
    group = zarr.create_group(zarr.storage.MemoryStore())
    array = group.create_array(
        "sample", shape=values.shape, chunks=values.shape, dtype=values.dtype,
        compressors=codecs_of(values.dtype),
    )  # fmt: skip
    array[:] = values
    return array.nbytes_stored() / values.nbytes
