"""The planned graph: the config's store, or the given sizes of a graph to be built.

Legend: N nodes, E edges as given, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hvdtma.core.bounds import LARGEST_GRAPH, LARGEST_MEMORY_GB, check_positive, check_whole
from hvdtma.core.errors import UserError, nearest
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.blocks import default_block_size, equal_blocks
from hvdtma.graph.builder import BuildOptions
from hvdtma.graph.builder.budget import BuildSizes, held_out_links
from hvdtma.graph.sizes import GraphSizes
from hvdtma.graph.targets import KINDS, label_row_bytes
from hvdtma.tables.columns import check_num_types

LEAST = (("nodes", 2), ("edges", 1), ("features", 1), ("classes", 0), ("edge_types", 0))


@dataclass(frozen=True)
class PlannedGraph:
    """The sizes of a graph to be built. Raises UserError for sizes out of range.

    Attributes:
        nodes, edges: N and E; an undirected edge counts once.
        features: D of the source.
        undirected: whether an edge stands for both directions.
        classes: of the labels, or their number of targets; 0: no labels.
        options: of the build.
        memory_gb: memory limit of the build in GiB (None: half of the free memory).
        edge_types: of the edges; 0: no types.
        label_kind: `class`, `multi` (several labels per node) or `real` (regression).
    """

    nodes: int
    edges: int
    features: int
    undirected: bool = False
    classes: int = 0
    options: BuildOptions = field(default_factory=BuildOptions)
    memory_gb: float | None = None
    edge_types: int = 0
    label_kind: str = "class"

    def __post_init__(self) -> None:
        for name, least in LEAST:
            check_whole(f"--{name.replace('_', '-')}", getattr(self, name), least, LARGEST_GRAPH)
        check_num_types(self.edge_types)
        if self.label_kind not in KINDS:
            raise UserError(
                f"--label-kind is '{self.label_kind}'; {nearest(self.label_kind, list(KINDS))}"
            )
        if self.memory_gb is not None:
            check_positive("--memory-gb", self.memory_gb, most=LARGEST_MEMORY_GB)

    @property
    def build_sizes(self) -> BuildSizes:
        """The sizes for the build; features that can be read in any order are assumed."""
        return BuildSizes(
            self.nodes,
            self.edges,
            self.undirected,
            typed=bool(self.edge_types),
            feature_dim=self.dim,
            features="rows",
            labelled=bool(self.classes),
            held_out=held_out_links(self.options, self.edges),
            options=self.options,
            label_row_bytes=label_row_bytes(self.label_kind, self.classes),
            num_types=self.edge_types,
        )

    @property
    def held_out_nodes(self) -> dict[str, int]:
        """For `valid` and `test`: the number of labelled nodes, if every node has a label."""
        sizes = {"valid": self.options.valid, "test": self.options.test}
        return {
            part: int(size * self.nodes if size < 1 else size)
            for part, size in sizes.items()
            if self.classes
        }

    @property
    def dim(self) -> int:
        """D in the store."""
        return min(self.features, self.options.feature_dim or self.features)

    def sizes(self, config: TrainConfig) -> GraphSizes:
        """The sizes of the store, if no edge is repeated.

        Raises UserError if no training edge is left, or for `distmult` without edge types.
        """
        task = config.task
        if task.name == "links" and task.decoder == "distmult" and not self.edge_types:
            raise UserError(
                "decoder distmult needs edge types; give their number with --edge-types"
            )
        dtype = np.dtype(self.options.feature_dtype)
        held = held_out_links(self.options, self.edges)
        left = self.edges - sum(number for number, _ in held.values())
        if left < 1:
            raise UserError(
                f"valid and test would take every one of {self.edges:,} edges; give smaller "
                "values for --valid and --test"
            )
        size = self.options.block_nodes or default_block_size(self.nodes, self.dim * dtype.itemsize)
        blocks = len(equal_blocks(self.nodes, size)) - 1
        arrays = {"first_hop"} if self.options.first_hop else set()
        return GraphSizes(
            path=config.store,
            num_nodes=self.nodes,
            num_edges=left * (1 + self.undirected),
            undirected=self.undirected,
            feature_dim=self.dim,
            feature_dtype=dtype,
            num_blocks=blocks,
            num_units=blocks,
            largest_unit=min(size, self.nodes),
            arrays=frozenset(arrays | ({"label"} if self.classes else set())),
            edge_type_names=tuple(map(str, range(self.edge_types))),
            label_names=tuple(map(str, range(self.classes))),
            held_out=held,
            label_kind=self.label_kind,
            held_out_nodes=self.held_out_nodes,
        )
