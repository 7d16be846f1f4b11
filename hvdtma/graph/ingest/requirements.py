"""What a graph in files, and the build that follows, take of memory beside the table of ids.

Legend: N nodes, E edges, D features, n pairs of a part, K negatives per pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hvdtma.graph.builder.options import BuildOptions
from hvdtma.graph.builder.sizes import (
    HELD_OUT,
    LABEL_BYTES,
    BuildSizes,
    features_in_store,
    held_out_links,
)
from hvdtma.graph.csc import index_dtype
from hvdtma.graph.ingest.given_splits import GivenSplits
from hvdtma.graph.ingest.ids.collector import ORDER_BYTES
from hvdtma.tables.features import FeatureFile

WHOLE_SHARE = 4  # dense features are held whole where they take less than one part in so many
MARK_BYTES = 1  # of a node: whether it has an edge
POSITION_BYTES = 8  # of an id in a split


@dataclass(frozen=True)
class IngestRequirement:
    """Counts bytes from the sizes that are known so far.

    Attributes:
        undirected, typed, labelled: of the graph.
        features, splits: files of them, opened.
        options: of the build; None where none follows.
    """

    undirected: bool
    typed: bool
    labelled: bool
    features: FeatureFile | None
    splits: GivenSplits | None
    options: BuildOptions | None

    def of(self, num_nodes: int, num_edges: int = 0) -> int:
        """Bytes for N, and E in a file, beside the table of ids and sparse features."""
        if self.options is None:
            return ORDER_BYTES * num_nodes
        labels = LABEL_BYTES * num_nodes * self.labelled
        build = self._build(num_nodes, num_edges, self.options).least_bytes()
        return self._held(num_nodes) + labels + max(labels, build)  # read in two copies

    def _held(self, num_nodes: int) -> int:
        """What is held all the time, but labels."""
        keyed = self.features is not None and self.features.ids is not None
        each = MARK_BYTES + np.dtype(index_dtype(num_nodes)).itemsize * keyed
        ids = self.splits.ids.values() if self.splits is not None else ()
        whole = 0
        if self._reduces and self.features is not None:
            whole = WHOLE_SHARE * self.features.shape[1] * self.features.kept_dtype.itemsize
        return (each + whole) * num_nodes + POSITION_BYTES * sum(map(len, ids))

    @property
    def _reduces(self) -> bool:
        """Whether dense features are made fewer, in memory."""
        file, dim = self.features, self.options.feature_dim if self.options else None
        return bool(file and dim and file.sparse is None and dim < file.shape[1])

    def _build(self, num_nodes: int, num_edges: int, options: BuildOptions) -> BuildSizes:
        file = self.features
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
            self.typed,
            dim,
            kind,
            self.labelled,
            self._given(options) if pairs else held_out_links(options, num_edges),
            options,
            not pairs or any(not self._negatives(part) for part in HELD_OUT),
        )

    def _given(self, options: BuildOptions) -> dict[str, tuple[int, int]]:
        """N and K of the parts of a given split."""
        pairs = self.splits.num_pairs if self.splits is not None else {}
        return {
            part: (pairs[part], self._negatives(part) // pairs[part] or options.negatives)
            for part in HELD_OUT
        }

    def _negatives(self, part: str) -> int:
        """Negatives that are given for a part, n * K."""
        return len(self.splits.ids.get(f"{part}_neg", ())) if self.splits is not None else 0
