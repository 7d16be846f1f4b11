"""The memory that a graph in files and its build require besides the table of ids.

Legend: N nodes, E edges, D features, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.core.split_parts import HELD_OUT_PARTS
from hvdtma.graph.builder.budget import (
    LABEL_BYTES,
    BuildSizes,
    features_in_store,
    held_out_links,
)
from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.ingest.edges import EdgeColumns
from hvdtma.graph.ingest.features import FeatureInput
from hvdtma.graph.ingest.given_splits import GivenSplits

WHOLE_SHARE = 4  # dense features are read into memory if they need less than one part in 4 of it
ORDER_BYTES = 9  # per node: the order of the store and its inverse
MARK_BYTES = 1  # per node: whether it has an edge
POSITION_BYTES = 8  # per id in a split


@dataclass(frozen=True)
class IngestRequirement:
    """Calculates the required memory from the sizes known so far.

    Attributes:
        undirected: of the graph.
        edges: the columns of the edges, or None.
        num_labels: the columns of labels.
        features, splits: the opened files.
        options: of the build; None if no build follows.
    """

    undirected: bool
    edges: EdgeColumns | None
    num_labels: int
    features: FeatureInput | None
    splits: GivenSplits | None
    options: BuildOptions | None

    def required_bytes(self, num_nodes: int, num_edges: int = 0) -> int:
        """The memory besides the table of ids and sparse features.

        Args:
            num_edges: E in the file of edges.
        """
        if self.options is None:
            return ORDER_BYTES * num_nodes
        labels = LABEL_BYTES * self.num_labels * num_nodes
        build = self._build_sizes(num_nodes, num_edges, self.options).least_bytes()
        return self._reserved_bytes(num_nodes) + labels + max(labels, build)  # two copies, once

    def _reserved_bytes(self, num_nodes: int) -> int:
        """The memory in use throughout, without labels."""
        has_ids = self.features is not None and self.features.ids is not None
        per_node = MARK_BYTES + np.dtype(index_dtype(num_nodes)).itemsize * has_ids
        if self._reduces and self.features is not None:
            per_node += WHOLE_SHARE * self.features.shape[1] * self.features.kept_dtype.itemsize
        lengths = self.splits.lengths.values() if self.splits is not None else ()
        return per_node * num_nodes + POSITION_BYTES * sum(lengths)

    @property
    def _reduces(self) -> bool:
        """Whether dense features are reduced, in memory."""
        file, dim = self.features, self.options.feature_dim if self.options else None
        return bool(file and dim and file.sparse is None and dim < file.shape[1])

    def _build_sizes(self, num_nodes: int, num_edges: int, options: BuildOptions) -> BuildSizes:
        file, edges = self.features, self.edges
        if file is None or file.sparse is not None:
            dim, kind = features_in_store(None if file is None else file.sparse, options)
        elif self._reduces and options.feature_dim:
            dim, kind = options.feature_dim, "reduced"
        else:
            dim, kind = file.shape[1], "sequential"
        pairs = self.splits.num_pairs if self.splits is not None else {}
        num_edges += pairs.get("train", 0)
        return BuildSizes(
            num_nodes,
            num_edges,
            self.undirected,
            edges is not None and edges.edge_type is not None,
            dim,
            kind,
            self.num_labels > 0,
            self._given_links(options) if pairs else held_out_links(options, num_edges),
            options,
            not pairs or any(not self._num_negatives(part) for part in HELD_OUT_PARTS),
            weighted=edges is not None and edges.weight is not None,
            timed=edges is not None and edges.time is not None,
            label_row_bytes=LABEL_BYTES * self.num_labels,
            reduced_from=file.shape[1] if file is not None and kind == "reduced" else 0,
        )

    def _given_links(self, options: BuildOptions) -> dict[str, tuple[int, int]]:
        """N and K of the parts of a given split."""
        pairs = self.splits.num_pairs if self.splits is not None else {}
        return {
            part: (pairs[part], self._num_negatives(part) // pairs[part] or options.negatives)
            for part in HELD_OUT_PARTS
        }

    def _num_negatives(self, part: str) -> int:
        """The number of given negatives of a part, n * K."""
        return self.splits.lengths.get(f"{part}_neg", 0) if self.splits is not None else 0
