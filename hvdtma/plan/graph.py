"""The graph that is planned for: the config's store, or numbers given for one to come.

Legend: N nodes, E edges as given, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import TrainConfig
from hvdtma.graph.blocks import default_block_size, equal_blocks
from hvdtma.graph.builder import BuildOptions
from hvdtma.graph.builder.budget import BuildSizes, held_out_links
from hvdtma.graph.sizes import GraphSizes
from hvdtma.tables.columns import check_num_types

LEAST = (("nodes", 2), ("edges", 1), ("features", 1), ("classes", 0), ("edge_types", 0))


@dataclass(frozen=True)
class PlannedGraph:
    """A graph that is to be built.

    Attributes:
        nodes, edges: N and E; an undirected edge counts once.
        features: D.
        undirected: whether an edge goes both ways.
        classes: of labels; 0 without labels.
        options: of the build.
        memory_gb: GiB that the build may hold (None: half of what is free).
        edge_types: of edges; 0 without types.

    Raises UserError for numbers that make no graph.
    """

    nodes: int
    edges: int
    features: int
    undirected: bool = False
    classes: int = 0
    options: BuildOptions = field(default_factory=BuildOptions)
    memory_gb: float | None = None
    edge_types: int = 0

    def __post_init__(self) -> None:
        for name, least in LEAST:
            if getattr(self, name) < least:
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"{option} is {getattr(self, name)}; it must be at least {least}")
        check_num_types(self.edge_types)
        if self.memory_gb is not None and not self.memory_gb > 0:
            raise UserError(f"--memory-gb is {self.memory_gb:g}; it must be above 0")

    @property
    def num_keys(self) -> int:
        """Edges that are sorted: an undirected one in both directions."""
        return self.edges * (1 + self.undirected)

    @property
    def build_sizes(self) -> BuildSizes:
        """What its build goes by; features are taken to be had in any order."""
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
        )

    @property
    def dim(self) -> int:
        """Features in the store."""
        return min(self.features, self.options.feature_dim or self.features)

    def sizes(self, config: TrainConfig) -> GraphSizes:
        """Of the store, if no edge is a repeated one.

        Raises UserError if no edge is left, or for a decoder of types where there are none.
        """
        task = config.task
        if task.name == "links" and task.decoder == "distmult" and not self.edge_types:
            raise UserError("decoder distmult needs types of edges; say how many: --edge-types")
        dtype = np.dtype(self.options.feature_dtype)
        held = held_out_links(self.options, self.edges)
        left = self.edges - sum(number for number, _ in held.values())
        if left < 1:
            raise UserError(
                f"valid and test would take every one of {self.edges:,} edges; give fewer with "
                "--valid and --test"
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
        )
